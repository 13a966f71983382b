"""Losses: values of the authors' code, and what must hold for every loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd import losses
from mmkd.losses import AT, CWD, KD, MSE, BinaryKD
from mmkd.registry import MODELS
from mmkd.targets import Targets


def wave(*shape: int, phase: float = 0.0, scale: float = 3.0) -> Tensor:
    """The same numbers on every machine and version, in float64."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (scale * torch.sin(0.7 * i + phase + 0.01 * i**2)).view(shape)


# Made by the authors' code on wave(..., phase=0) and wave(..., phase=1), in float64:
# KD, github.com/HobbitLong/RepDistiller b84f547, DistillKL;
# CWD, github.com/irfanICMLL/TorchDistiller 78bac7c, CriterionCWD('channel', 'kl');
# MSE batch, github.com/yzd-v/MGD 2c9da0b, MGDLoss without mask, generator and weight.
GOLDEN = [
    (KD(tau=1), (4, 10), 1.1121921845145533),
    (KD(tau=4), (4, 10), 1.8568425717714208),
    (CWD(tau=1), (2, 3, 4, 5), 1.3057881618037104),
    (CWD(tau=4), (2, 3, 4, 5), 2.051743600238646),
    (MSE('batch'), (2, 3, 4, 5), 255.84238656551315),
]
LOSSES = [
    KD(),
    KD(tau=1),
    BinaryKD(),
    CWD(),
    MSE(),
    MSE('batch'),
    AT(),
    AT('batch'),
]


@pytest.mark.parametrize('name', losses.__all__)
def test_configs_find_it(name: str):
    assert type(MODELS.build(dict(type=f'mmkd.{name}'))) is getattr(losses, name)


@pytest.mark.parametrize(('loss', 'shape', 'value'), GOLDEN)
def test_authors_value(loss: torch.nn.Module, shape: tuple[int, ...], value: float):
    result = loss(wave(*shape), wave(*shape, phase=1))
    assert result.item() == pytest.approx(value, rel=1e-12)


def naive_kd(s: Tensor, t: Tensor, tau: float) -> float:
    """KL over classes at every position, by a loop."""
    s, t = (x.movedim(1, -1).reshape(-1, x.shape[1]) for x in (s, t))
    total = 0.0
    for a, b in zip(s, t):
        p, q = torch.softmax(b / tau, 0), torch.softmax(a / tau, 0)
        total += sum(float(x * math.log(x / y)) for x, y in zip(p, q))
    return tau**2 * total / len(s)


@pytest.mark.parametrize('shape', [(3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize('tau', [1.0, 2.5])
def test_kd_naive(shape: tuple[int, ...], tau: float):
    s, t = wave(*shape), wave(*shape, phase=2)
    assert KD(tau)(s, t).item() == pytest.approx(naive_kd(s, t, tau), rel=1e-12)


def test_kd_sigmoid_naive():
    s, t = wave(2, 3, 2, 2), wave(2, 3, 2, 2, phase=2)
    total = 0.0
    for a, b in zip((s / 3).flatten(), (t / 3).flatten()):
        p, q = torch.sigmoid(b).item(), torch.sigmoid(a).item()
        total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    value = BinaryKD(3.0)(s, t)
    assert value.item() == pytest.approx(9 * total / (2 * 2 * 2), rel=1e-12)


def test_kd_leaves_ignored_pixels_out():
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=2)
    # Twice the size of the logits: brought down by nearest neighbour.
    labels = torch.tensor([[0, 255], [1, 255]]).repeat_interleave(2, 0)
    targets = Targets(seg_maps=[labels.repeat_interleave(2, 1)])
    value = KD(2.0)(s, t, targets)
    left = naive_kd(s[..., :1], t[..., :1], 2.0)
    assert value.item() == pytest.approx(left, rel=1e-12)
    assert KD(2.0)(s, t, targets=targets) == value
    assert KD(2.0, ignore=False)(s, t, targets) != value


def test_kd_of_nothing_is_zero():
    """All pixels ignored, or no region in the batch: zero, not NaN."""
    targets = Targets(seg_maps=[torch.full((4, 4), 255)])
    s = wave(1, 3, 4, 4).requires_grad_()
    value = KD()(s, wave(1, 3, 4, 4, phase=1), targets)
    value.backward()
    assert value == 0 and s.grad is not None and s.grad.abs().sum() == 0
    assert KD()(torch.zeros(0, 3), torch.zeros(0, 3)) == 0


@pytest.mark.parametrize('loss', LOSSES, ids=repr)
def test_zero_for_itself(loss: torch.nn.Module):
    x = wave(2, 3, 4, 4)
    assert loss(x, x.clone()).abs().item() < 1e-12


@pytest.mark.parametrize('side', [0, 1])
def test_cwd_ignores_constants_per_channel(side: int):
    pair = [wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)]
    before = CWD()(*pair)
    pair[side] = pair[side] + wave(2, 3, 1, 1, phase=5)
    assert CWD()(*pair).item() == pytest.approx(before.item(), rel=1e-10)


def test_kd_ignores_constants_per_image():
    s, t = wave(4, 10), wave(4, 10, phase=1)
    assert KD()(s + wave(4, 1), t).item() == pytest.approx(KD()(s, t).item())


@pytest.mark.parametrize('loss', LOSSES, ids=repr)
def test_repeating_the_batch_changes_nothing(loss: torch.nn.Module):
    s, t = wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)
    twice = loss(torch.cat([s, s]), torch.cat([t, t]))
    assert twice.item() == pytest.approx(loss(s, t).item(), rel=1e-12)


def test_mse_batch_is_sum_over_batch():
    s, t = wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)
    assert MSE('batch')(s, t).item() == pytest.approx(MSE()(s, t).item() * 3 * 4 * 4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('loss', LOSSES, ids=repr)
def test_half_precision(loss: torch.nn.Module, dtype: torch.dtype):
    """Computed in fp32, autocast or not, and large values do not overflow."""
    s, t = wave(2, 3, 64, 64, scale=100), wave(2, 3, 64, 64, phase=1, scale=100)
    s, t = s.to(dtype), t.to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(s, t)
    assert value.dtype == torch.float32 and value.isfinite()
    assert torch.equal(value, loss(s.float(), t.float()))


@pytest.mark.parametrize(
    ('make', 'word'),
    [
        (lambda: KD(activation='tanh'), 'sigmoid'),
        (lambda: MSE('sum'), 'batch'),
    ],
)
def test_bad_argument(make, word: str):
    with pytest.raises(ValueError, match=word):
        make()


def test_per_pixel_is_the_same_as_flat():
    s, t = wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)
    flat = [x.movedim(1, -1).reshape(-1, 3) for x in (s, t)]
    assert torch.allclose(KD()(s, t), KD()(*flat))
    # and both agree with torch's own reduction over the batch
    log_s, p = F.log_softmax(flat[0] / 4, 1), F.softmax(flat[1] / 4, 1)
    assert torch.allclose(KD()(*flat), 16 * F.kl_div(log_s, p, reduction='batchmean'))


@pytest.mark.parametrize(
    ('plain', 'same'),
    [
        (KD(), KD(4.0, ignore=True)),
        (CWD(), CWD(4.0)),
        (MSE(), MSE('mean')),
        (AT(), AT('mean')),
    ],
    ids=repr,
)
def test_defaults(plain: torch.nn.Module, same: torch.nn.Module):
    """What a config leaves out is what the docstring says."""
    s, t = wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)
    assert torch.equal(plain(s, t), same(s, t))


def test_kd_of_one():
    """One image, or one pixel that counts: nothing is divided."""
    s, t = wave(1, 3), wave(1, 3, phase=2)
    assert KD(2.0)(s, t).item() == pytest.approx(naive_kd(s, t, 2.0), rel=1e-12)
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=2)
    targets = Targets(seg_maps=[torch.tensor([[255, 255], [255, 1]])])
    value = naive_kd(s[..., 1:, 1:], t[..., 1:, 1:], 2.0)
    assert KD(2.0)(s, t, targets).item() == pytest.approx(value, rel=1e-12)


def test_kd_of_boxes_needs_no_map():
    """Logits of regions are not pixels, whatever the ground truth has."""
    s, t = wave(4, 3), wave(4, 3, phase=2)
    targets = Targets(seg_maps=[torch.full((2, 2), 255)])
    assert torch.equal(KD()(s, t, targets), KD()(s, t))
