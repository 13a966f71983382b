"""NST: RepDistiller's values, by both ways; channels may be permuted and scaled."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import NST

CASES = [
    Case(NST, (2, 5, 4, 4), (2, 3, 4, 4)),
    Case(NST, (2, 5, 4, 4), (2, 6, 2, 2)),  # fewer positions than channels
]
GOLDEN = [
    Golden(
        NST,
        [(3, 4, 5, 5), (3, 6, 4, 4), (3, 4, 2, 2)],
        [(3, 7, 5, 5), (3, 2, 2, 2), (3, 5, 4, 4)],
        value=1.603749397041849,
        gradient=0.2900604805260794,
        source='github.com/HobbitLong/RepDistiller b84f547: sum(NSTLoss()(s, t))',
    )
]


@pytest.mark.parametrize('size', [2, 4])
def test_of_any_order_and_factor(size: int):
    """The channels are a set, of which each may be repeated as often."""
    s, t = wave(2, 6, size, size), wave(2, 7, size, size, phase=1)
    factors = torch.linspace(0.5, 2, 6)[:, None, None].double()
    order = [3, 0, 5, 1, 4, 2]
    assert NST()(s, s[:, order] * factors).abs() < 1e-12
    assert NST()(s, torch.cat([s, -s], 1)).abs() < 1e-12
    value = NST()(s, t).item()
    assert value > 0.01
    assert NST()(s[:, order] * factors, -t).item() == pytest.approx(value)
