"""KD: the authors' values, the naive sum, and which pixels and regions count."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from harness import Case, Golden, Learns, wave
from torch import Tensor

from mmkd.losses import KD, BinaryKD
from mmkd.targets import Targets

LOGITS, MAP = (3, 5), (2, 5, 4, 4)
CASES = [
    Case(KD, LOGITS, rows=True),
    Case(lambda: KD(tau=1.0), MAP),
    Case(KD, MAP, targets='pixels'),
    Case(BinaryKD, MAP, targets='pixels', rows=True),
]
DISTILL_KL = 'github.com/HobbitLong/RepDistiller b84f547: DistillKL'
GOLDEN = [
    Golden(
        lambda: KD(tau=1),
        (4, 10),
        value=1.1121921845145533,
        source=f'{DISTILL_KL}(1)',
    ),
    Golden(
        lambda: KD(tau=4),
        (4, 10),
        value=1.8568425717714208,
        source=f'{DISTILL_KL}(4)',
    ),
]
NAIVE = [
    'test_naive',
    'test_sigmoid_naive',
]
LEARNS = Learns({'own.weight': 1.0}, gain=False)


def naive(s: Tensor, t: Tensor, tau: float) -> float:
    """KL over classes at every position, by a loop."""
    s, t = (x.movedim(1, -1).reshape(-1, x.shape[1]) for x in (s, t))
    total = 0.0
    for a, b in zip(s, t):
        p, q = torch.softmax(b / tau, 0), torch.softmax(a / tau, 0)
        total += sum(float(x * math.log(x / y)) for x, y in zip(p, q))
    return tau**2 * total / len(s)


@pytest.mark.parametrize('shape', [(3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize('tau', [1.0, 2.5])
def test_naive(shape: tuple[int, ...], tau: float):
    s, t = wave(*shape), wave(*shape, phase=2)
    assert KD(tau)(s, t).item() == pytest.approx(naive(s, t, tau), rel=1e-12)


def test_sigmoid_naive():
    s, t = wave(2, 3, 2, 2), wave(2, 3, 2, 2, phase=2)
    total = 0.0
    for a, b in zip((s / 3).flatten(), (t / 3).flatten()):
        p, q = torch.sigmoid(b).item(), torch.sigmoid(a).item()
        total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    value = BinaryKD(3.0)(s, t)
    assert value.item() == pytest.approx(9 * total / (2 * 2 * 2), rel=1e-12)


def test_ignored_pixels_are_left_out():
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=2)
    # Twice the size of the logits: brought down by nearest neighbour.
    labels = torch.tensor([[0, 255], [1, 255]]).repeat_interleave(2, 0)
    targets = Targets(seg_maps=[labels.repeat_interleave(2, 1)])
    value = KD(2.0)(s, t, targets)
    left = naive(s[..., :1], t[..., :1], 2.0)
    assert value.item() == pytest.approx(left, rel=1e-12)
    assert KD(2.0)(s, t, targets=targets) == value
    assert KD(2.0, ignore=False)(s, t, targets) != value


def test_constants_per_image_do_not_matter():
    s, t = wave(4, 10), wave(4, 10, phase=1)
    assert KD()(s + wave(4, 1), t).item() == pytest.approx(KD()(s, t).item())


def test_per_pixel_is_the_same_as_flat():
    s, t = wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)
    flat = [x.movedim(1, -1).reshape(-1, 3) for x in (s, t)]
    assert torch.allclose(KD()(s, t), KD()(*flat))
    # and both agree with torch's own reduction over the batch
    log_s, p = F.log_softmax(flat[0] / 4, 1), F.softmax(flat[1] / 4, 1)
    assert torch.allclose(KD()(*flat), 16 * F.kl_div(log_s, p, reduction='batchmean'))


def test_of_one():
    """One image, or one pixel that counts: nothing is divided."""
    s, t = wave(1, 3), wave(1, 3, phase=2)
    assert KD(2.0)(s, t).item() == pytest.approx(naive(s, t, 2.0), rel=1e-12)
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=2)
    targets = Targets(seg_maps=[torch.tensor([[255, 255], [255, 1]])])
    value = naive(s[..., 1:, 1:], t[..., 1:, 1:], 2.0)
    assert KD(2.0)(s, t, targets).item() == pytest.approx(value, rel=1e-12)


def test_boxes_need_no_map():
    """Logits of regions are not pixels, whatever the ground truth has."""
    s, t = wave(4, 3), wave(4, 3, phase=2)
    targets = Targets(seg_maps=[torch.full((2, 2), 255)])
    assert torch.equal(KD()(s, t, targets), KD()(s, t))


def test_defaults():
    s, t = wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)
    assert torch.equal(KD()(s, t), KD(4.0, ignore=True)(s, t))


def test_a_second_derivative_is_refused():
    """The backward pass that is written by hand knows nothing of it."""
    student = torch.randn(3, 5, requires_grad=True)
    value = KD()(student, torch.randn(3, 5)).square()
    (slope,) = torch.autograd.grad(value, student, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        slope.sum().backward()
