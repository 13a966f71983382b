"""PKT: values of RepDistiller and by loops; what must not change them."""

from __future__ import annotations

import math

import pytest
import torch
from harness import Case, Golden, Learns, wave

from mmkd.losses import PKT

CASES = [
    Case(PKT, (4, 6), (4, 5), batch_coupled=True),
    Case(PKT, (4, 3, 2, 2), batch_coupled=True),
]
SOURCE = 'github.com/HobbitLong/RepDistiller b84f547: PKT()'
GOLDEN = [
    Golden(
        PKT,
        (4, 6),
        (4, 5),
        value=0.08302777179566538,
        gradient=0.014860634690185578,
        source=SOURCE,
    ),
    Golden(
        PKT,
        (6, 7),
        (6, 4),
        value=0.07194791889049702,
        gradient=0.007842041815723259,
        source=SOURCE,
    ),
]
LEARNS = Learns({'terms.loss_pkt.weight': 3000.0})


def test_naive() -> None:
    def near(x: torch.Tensor) -> list[list[float]]:
        cosine = torch.nn.functional.cosine_similarity
        rows = [[1 + float(cosine(a, b, 0)) for b in x] for a in x]
        return [[k / sum(row) for k in row] for row in rows]

    s, t = wave(4, 6), wave(4, 5, phase=1)
    total = 0.0
    for p_row, q_row in zip(near(t), near(s)):
        total += sum(p * math.log(p / q) for p, q in zip(p_row, q_row))
    assert PKT()(s, t).item() == pytest.approx(total / 16, abs=1e-6)


def test_a_factor_for_each_image_does_not_matter() -> None:
    s, t = wave(4, 6), wave(4, 5, phase=1)
    factors = torch.tensor([[1.0], [2.0], [5.0], [9.0]], dtype=torch.float64)
    assert PKT()(factors * s, t).item() == pytest.approx(PKT()(s, t).item(), rel=1e-5)
    assert PKT()(s, factors * s) < 1e-12


def test_the_order_of_the_images_does_not_matter() -> None:
    s, t = wave(4, 6), wave(4, 5, phase=1)
    order = [2, 0, 3, 1]
    assert PKT()(s[order], t[order]).item() == pytest.approx(PKT()(s, t).item())


def test_what_a_larger_batch_does() -> None:
    """Every image twice: half the probability each, over four times the pairs."""
    s, t = wave(4, 6), wave(4, 5, phase=1)
    twice = PKT()(s.repeat(2, 1), t.repeat(2, 1)).item()
    assert twice == pytest.approx(PKT()(s, t).item() / 2, rel=1e-5)
