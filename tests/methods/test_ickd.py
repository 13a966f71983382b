"""ICKD: values of the authors' code and by loops; what must not change them."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave
from torch import Tensor

from mmkd.losses import ICKD

CASES = [
    Case(ICKD, (2, 3, 4, 4)),
    Case(ICKD, (2, 3, 4, 4), (2, 3, 2, 2)),
]
SOURCE = 'github.com/ADLab-AutoDrive/ICKD 403b8d3: Cifar100, ICKDLoss(opt)'
ALIGN = dict(type='mmkd.Align', space='keep', always=True, bias=False, norm=True)
GOLDEN = [
    Golden(
        ICKD,
        [(2, 3, 4, 4)],
        [(2, 4, 4, 4)],
        connector=ALIGN,
        fill=True,
        value=0.3898202712101434,
        gradient=0.029620237112714068,
        source=SOURCE,
    ),
    Golden(
        ICKD,
        [(2, 3, 2, 2)],
        [(2, 4, 3, 3)],
        connector=ALIGN,
        fill=True,
        value=0.7858032092195675,
        gradient=0.2585660488673823,
        source=SOURCE,
    ),
]


def maps() -> tuple[Tensor, Tensor]:
    return wave(2, 3, 2, 2), wave(2, 3, 3, 3, phase=1)


def test_naive() -> None:
    s, t = maps()

    def row(x: Tensor, i: int) -> list[float]:
        products = [float((x[i] * other).sum()) for other in x]
        return [p / sum(q * q for q in products) ** 0.5 for p in products]

    total = 0.0
    for a, b in zip(s, t):
        for i in range(3):
            total += sum((p - q) ** 2 for p, q in zip(row(a, i), row(b, i)))
    assert ICKD()(s, t).item() == pytest.approx(total / (2 * 3))


def test_what_does_not_matter() -> None:
    """A factor for each image; the order of the positions; how often they are there."""
    s, t = maps()
    value = ICKD()(s, t).item()
    factors = torch.tensor([2.0, -3.0], dtype=torch.float64).view(2, 1, 1, 1)
    for other in (factors * s, s.flip(2), s.mT, s.repeat(1, 1, 2, 1)):
        assert ICKD()(other, t).item() == pytest.approx(value)
        assert ICKD()(s, other) < 1e-12


def test_the_order_of_the_channels_does() -> None:
    s, t = maps()
    assert ICKD()(s[:, [1, 0, 2]], t).item() != pytest.approx(ICKD()(s, t).item())


def test_other_channels_are_an_error() -> None:
    with pytest.raises(ValueError, match='student has 3 and the teacher 4.*Align'):
        ICKD()(wave(2, 3, 2, 2), wave(2, 4, 2, 2))
