"""DIST: values of the authors' code for all tasks, and what must not change them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import DIST, BinaryDIST

MAP = (2, 6, 3, 4)
# Where probabilities do not vary, they have no correlation, not even with themselves.
CASES = [
    Case(DIST, (6, 5), rows=True, batch_coupled=True, zero='waves'),
    Case(lambda: DIST(tau=0.5), MAP, batch_coupled=True, zero='waves'),
    Case(BinaryDIST, MAP, rows=True, batch_coupled=True, zero='waves'),
]
CLS = 'github.com/hunto/image_classification_sota 6f7a70a: DIST(beta, gamma, tau)'
GOLDEN = [
    Golden(
        DIST,
        (4, 10),
        value=1.3114268230254036,
        gradient=0.28029387661133576,
        source=CLS,
    ),
    Golden(
        lambda: DIST(tau=4.0),
        (6, 5),
        value=15.430379159748885,
        gradient=2.768384935873009,
        source=CLS,
    ),
    Golden(
        lambda: DIST(tau=2.0, beta=0.5, gamma=3.0),
        (5, 6),
        value=6.551426233591794,
        gradient=2.129242108658369,
        source=CLS,
    ),
    Golden(
        DIST,
        (2, 5, 3, 4),
        value=1.1722250145206932,
        gradient=0.1695662367739582,
        source='github.com/hunto/DIST_KD 2418f18: DIST(), segmentation',
    ),
    Golden(
        BinaryDIST,
        MAP,
        value=0.9562376981450151,
        gradient=0.0737292236774634,
        source='github.com/hunto/MasKD b5af34f: DIST(1, 1, use_sigmoid=True)',
    ),
]


@pytest.mark.parametrize('shape', [(4, 5), MAP])
def test_scale_and_place_of_probabilities_do_not_matter(shape: tuple[int, ...]):
    """Less of a distribution and more of the uniform one is as like."""
    s, t = wave(*shape), wave(*shape, phase=1)
    mixed = (0.3 * s.softmax(1) + 0.7 / shape[1]).log()
    assert DIST()(mixed, t).item() == pytest.approx(DIST()(s, t).item(), rel=1e-6)
    mixed = (0.3 * t.sigmoid() + 0.5).logit()
    value = BinaryDIST()(s, t).item()
    assert BinaryDIST()(s, mixed).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize('loss', [DIST, BinaryDIST])
def test_temperature(loss: Any):
    """It divides the logits, and its square is in the loss as in KD."""
    s, t = wave(*MAP), wave(*MAP, phase=1)
    value = loss(tau=2.0)(2 * s, 2 * t).item()
    assert value == pytest.approx(4 * loss()(s, t).item(), rel=1e-12)


def test_what_is_opposite_is_farthest():
    """Of two classes: each row the other way round, and so each column."""
    x = wave(4, 2)
    assert DIST()(x, -x).item() == pytest.approx(4, rel=1e-6)
    assert DIST(beta=0.0)(x, -x).item() == pytest.approx(2, rel=1e-6)


def test_one_row_has_no_classes_to_compare():
    s, t = wave(1, 5).requires_grad_(), wave(1, 5, phase=1)
    value = DIST(beta=0.0)(s, t)
    value.backward()
    assert value == 1 and not s.grad.any()
    assert torch.equal(DIST()(s, t), DIST(gamma=0.0)(s, t) + 1)
