"""OFD: the value of FRSKD's authors, by loops, and number by number."""

from __future__ import annotations

import math

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import OFD

LEVELS = [(2, 4, 8, 8), (2, 6, 4, 4)]
CASES = [Case(OFD, LEVELS)]
FEATURES = dict(
    student=[wave(2, 4, 4, 4), wave(2, 6, 2, 2, phase=1)],
    teacher=[wave(2, 8, 4, 4, phase=2), wave(2, 12, 2, 2, phase=3)],
    fill=True,
    rel=1e-7,
    why='their margin, and the epsilon of their norms, are in fp32',
)
FRSKD = 'github.com/MingiJi/FRSKD 98b87e5'
GOLDEN = [
    Golden(
        OFD,
        **FEATURES,
        connector=dict(type='mmkd.Align', norm=True, bias=False),
        value=399.40714767473025,
        source=f'{FRSKD}: OD, beta alone',
    ),
]
NAIVE = ['test_naive']


def test_naive():
    s, t = (
        [wave(2, 3, 2, 2), wave(2, 3, 1, 1)],
        [wave(2, 3, n, n, phase=2) for n in (2, 1)],
    )
    total = 0.0
    for share, a, b in zip((0.5, 1.0), s, t):
        for x, y in zip(a.flatten().tolist(), b.flatten().tolist()):
            y = max(y, -0.5)
            total += share * (x - y) ** 2 / 2 if x > y or y > 0 else 0.0
    assert OFD(-0.5)(s, t).item() == pytest.approx(total)


@pytest.mark.parametrize(
    ('s', 't', 'value'),
    [
        (-0.1, 0.0, 0.0),  # below zero, where the teacher is: nothing to learn
        (0.5, 0.0, 0.25),
        (0.0, 0.5, 0.25),
        (0.0, -9.0, 2 / math.pi),  # it need not go below the margin
        (-1.0, -0.5, 0.0),
    ],
)
def test_of_a_number(s: float, t: float, value: float):
    level = torch.full((1, 1, 1, 1), s), torch.full((1, 1, 1, 1), t)
    one = OFD()(*([x] for x in level))
    assert one.item() == pytest.approx(value)
    assert OFD()(*([x] * 3 for x in level)).item() == pytest.approx(1.75 * value)


def test_any_negative_value_is_as_good():
    below = [wave(2, 3, 4, 4).clamp(max=-5), wave(2, 3, 2, 2).clamp(max=-5)]
    assert OFD()(below, [torch.full_like(x, -2.0) for x in below]) == 0
    assert OFD(-9.0)(below, below) == 0
