"""WTTM: values of the authors' code, and what a row weighs."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import TTM, WTTM
from mmkd.targets import Targets

CASES = [
    Case(WTTM, (4, 5), rows=True, zero=False),
    Case(lambda: WTTM(gamma=0.4), (2, 5, 4, 4), targets='pixels', zero=False),
]
SOURCE = 'github.com/zkxufo/TTM fe457b3: WTTM(l)'
GOLDEN = [
    Golden(
        WTTM,
        (4, 10),
        value=9.234416041282099,
        gradient=1.3571040395665321,
        source=SOURCE,
    ),
    Golden(
        lambda: WTTM(gamma=0.4),
        (6, 5),
        value=1.898737967145384,
        gradient=0.41658675711670307,
        source=SOURCE,
    ),
]


@pytest.mark.parametrize('gamma', [0.1, 0.5])
def test_weights(gamma: float):
    """1 where the teacher is sure; of five classes alike a power of five."""
    s, alike, sure = wave(1, 5), torch.full((1, 5), 3.0), torch.eye(5)[:1] * 1e4
    for t, weight in ((sure, 1.0), (alike, 5 ** (1 - gamma))):
        values = [loss(gamma)(s, t.double()).item() for loss in (WTTM, TTM)]
        assert values[0] == pytest.approx(weight * values[1], rel=1e-12)


def test_pixels_weigh_for_themselves():
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=1)
    value = WTTM()(s, t, Targets(seg_maps=[torch.tensor([[0, 255], [2, 255]])]))
    left = WTTM()(*(x[0, :, :, 0].T for x in (s, t)))
    assert value.item() == pytest.approx(left.item(), rel=1e-12)
