"""NFD: the value by loops, and what does not matter."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from harness import Case, wave

from mmkd.losses import NFD, PKD

CASES = [Case(NFD, (2, 3, 4, 4))]
NAIVE = ['test_naive']


def test_naive() -> None:
    s, t = wave(2, 3, 2, 3), wave(2, 3, 2, 3, phase=1)
    total = 0.0
    for n in range(2):
        for c in range(3):
            sides = []
            for values in (s[n, c].flatten().tolist(), t[n, c].flatten().tolist()):
                mean, scale = statistics.mean(values), statistics.stdev(values) + 1e-6
                sides.append([(x - mean) / scale for x in values])
            total += math.fsum((a - b) ** 2 for a, b in zip(*sides))
    assert NFD()(s, t).item() == pytest.approx(total / 36, rel=1e-12)


@pytest.mark.parametrize('side', [0, 1])
def test_mean_and_scale_of_a_channel_do_not_matter(side: int) -> None:
    pair = [wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)]
    before = NFD()(*pair).item()
    pair[side] = pair[side] * (wave(2, 3, 1, 1).abs() + 1) + wave(2, 3, 1, 1, phase=2)
    assert NFD()(*pair).item() == pytest.approx(before, rel=1e-5)


def test_opposite_maps() -> None:
    """A correlation of -1."""
    x = wave(2, 3, 4, 5)
    assert NFD()(x, -x).item() == pytest.approx(4 * 19 / 20, rel=1e-5)


def test_of_one_image_it_is_twice_that_of_a_batch() -> None:
    s, t = wave(1, 3, 4, 5), wave(1, 3, 4, 5, phase=1)
    assert torch.allclose(NFD()(s, t), 2 * PKD()(s, t))
