"""CC: values of RepDistiller and by loops; the embeddings learn, on both sides."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, Made, filled, wave

from mmkd.losses import CC

# The embeddings differ, so that equal features do not give zero.
CASES = [Case(lambda: CC(8), (4, 6), (4, 5), zero=False, batch_coupled=True)]
GOLDEN = [
    Golden(
        lambda: CC(8),
        (4, 6),
        (4, 5),
        value=93.89078417373496,
        gradient=14.25654530293842,
        source=(
            'github.com/HobbitLong/RepDistiller b84f547: Correlation() behind '
            'LinearEmbed(6, 8) and LinearEmbed(5, 8)'
        ),
        fill=True,
    )
]


def made() -> CC:
    return filled(Made(CASES[0], torch.float64)).loss


def test_naive() -> None:
    loss, s, t = made(), wave(4, 6), wave(4, 5, phase=1)
    apart = (loss.student(s) - loss.teacher(t)).abs().tolist()
    total = sum(a * b for x, y in zip(apart, apart[1:]) for a, b in zip(x, y))
    assert loss(s, t).item() == pytest.approx(total / 3)


def test_both_embeddings_learn() -> None:
    loss = made()
    loss(wave(4, 6), wave(4, 5, phase=1)).backward()
    assert loss.teacher.weight.grad.norm().item() == pytest.approx(53.54811930145228)
    assert loss.student.weight.grad.norm() > 0


def test_one_image_alone_is_zero() -> None:
    assert made()(wave(1, 6), wave(1, 5)) == 0


def test_width() -> None:
    linear = Made(Case(CC, (4, 6), (4, 5))).loss.children()
    assert [(one.in_features, one.out_features) for one in linear] == [
        (6, 128),
        (5, 128),
    ]
