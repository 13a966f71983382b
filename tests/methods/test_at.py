"""AT: values of RepDistiller and by loops; two sizes; factors; its greatest value."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from harness import Case, Golden, wave
from torch import Tensor

from mmkd.losses import AT
from mmkd.registry import make

CASES = [
    Case(AT, (2, 5, 4, 4), (2, 3, 4, 4)),
    Case(lambda: AT('batch'), (2, 5, 4, 4)),
    Case(AT, (2, 5, 4, 4), (2, 3, 2, 2)),
]
GOLDEN = [
    Golden(
        AT,
        [(3, 4, 5, 5), (3, 6, 4, 4), (3, 4, 2, 2)],
        [(3, 7, 5, 5), (3, 2, 2, 2), (3, 5, 4, 4)],
        value=0.12050261496534172,
        gradient=0.03602456459409311,
        source='github.com/HobbitLong/RepDistiller b84f547: sum(Attention()(s, t))',
    )
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
    """Each side is pooled where it is the larger one."""
    s, t = wave(2, 3, 6, 4), wave(2, 5, 3, 8, phase=1)
    small = F.avg_pool2d(s, (2, 1)), F.avg_pool2d(t, (1, 2))
    assert AT()(s, t).item() == pytest.approx(AT()(*small).item())


def test_no_other_reduction():
    with pytest.raises(ValueError, match='batch'):
        make('loss', dict(type='mmkd.AT', reduction='sum'))


def test_defaults():
    s, t = maps()
    assert torch.equal(AT()(s, t), AT('mean')(s, t))
