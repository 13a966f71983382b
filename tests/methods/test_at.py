"""AT: the energy of positions, by loops; factors do not matter; its greatest value."""

from __future__ import annotations

import pytest
import torch
from harness import Case, wave
from torch import Tensor

from mmkd.losses import AT
from mmkd.registry import make

CASES = [
    Case(AT, (2, 5, 4, 4), (2, 3, 4, 4)),
    Case(lambda: AT('batch'), (2, 5, 4, 4)),
]
NAIVE = ['test_naive']
LOSSES = [AT(), AT('batch')]


def maps(size: int = 4) -> tuple[Tensor, Tensor]:
    return wave(2, 3, size, size), wave(2, 5, size, size, phase=1)


def test_naive():
    s, t = maps()
    total = 0.0
    for a, b in zip(s, t):
        a, b = (x.square().mean(0) for x in (a, b))
        total += float((a / a.square().sum().sqrt() - b / b.norm()).square().sum())
    assert AT()(s, t).item() == pytest.approx(total / (2 * 16))
    assert AT('batch')(s, t).item() == pytest.approx(total / 2)


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss.reduction)
def test_a_factor_does_not_matter(loss: AT):
    s, t = maps()
    assert loss(s, -2 * s).abs() < 1e-12
    assert loss(5 * s, t).item() == pytest.approx(loss(s, t).item())


@pytest.mark.parametrize('size', [2, 8])
def test_bounds(size: int):
    """Two at most, or 2 / HW: where it depends on the resolution and where not."""
    s, t = torch.zeros(2, 1, 1, size, size)
    s[..., 0, 0], t[..., -1, -1] = 1, 1
    assert AT('batch')(s, t) == 2
    assert AT()(s, t) == 2 / size**2


def test_two_sizes():
    with pytest.raises(ValueError, match='Align'):
        AT()(maps(4)[0], maps(8)[1])
    with pytest.raises(ValueError, match='batch'):
        make('loss', dict(type='mmkd.AT', reduction='sum'))


def test_defaults():
    s, t = maps()
    assert torch.equal(AT()(s, t), AT('mean')(s, t))
