"""TTM: values of the authors' code, where it is KD, and which pixels count."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import KD, TTM
from mmkd.targets import Targets

CASES = [
    Case(TTM, (4, 5), rows=True, zero=False),
    Case(lambda: TTM(gamma=0.4), (2, 5, 4, 4), targets='pixels', zero=False),
]
SOURCE = 'github.com/zkxufo/TTM fe457b3: TTM(l)'
GOLDEN = [
    Golden(
        TTM,
        (4, 10),
        value=1.3290953681770388,
        gradient=0.1952430959573972,
        source=SOURCE,
    ),
    Golden(
        lambda: TTM(gamma=0.4),
        (6, 5),
        value=0.9353225961390113,
        gradient=0.20607808067566205,
        source=SOURCE,
    ),
]


def test_the_first_power_is_kd():
    s, t = wave(4, 5), wave(4, 5, phase=1)
    assert torch.equal(TTM(gamma=1.0)(s, t), KD(tau=1.0)(s, t))


def test_who_is_smooth_as_the_power_has_learned_all():
    s, t = (0.25 * wave(4, 5)).requires_grad_(), wave(4, 5)
    value = TTM(gamma=0.25)(s, t)
    value.backward()
    assert abs(value) < 1e-15 and s.grad.abs().max() < 1e-15


def test_ignored_pixels_are_left_out():
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=1)
    value = TTM()(s, t, Targets(seg_maps=[torch.tensor([[0, 255], [2, 255]])]))
    left = TTM()(*(x[0, :, :, 0].T for x in (s, t)))
    assert value.item() == pytest.approx(left.item(), rel=1e-12)


def test_a_recording_may_keep_the_largest():
    """Those of the softmax that the power makes, at temperature 1 over gamma."""
    assert TTM(gamma=0.1).softmax_at == pytest.approx(10)
