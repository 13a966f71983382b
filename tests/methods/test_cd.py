"""CD and GKD: values of the authors' code; where the teacher is right, and nowhere."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import CD, GKD, KD
from mmkd.targets import Targets

CASES = [
    Case(CD, (2, 3, 4, 4)),
    # Half a batch has another number of images on which the teacher is right.
    Case(
        GKD,
        (4, 5),
        targets=Targets(labels=wave(4, 5, phase=1).argmax(1) + torch.arange(4) // 3),
        rows=True,
        batch_coupled=True,
    ),
    Case(GKD, (2, 5, 4, 4), targets='pixels', batch_coupled=True),
]
ALIGN = dict(type='mmkd.Align', always=True, bias=False, norm=True, relu=True)
RIGHT = torch.tensor([1, 8, 1, 6, 1, 5])  # the first, third and fourth image's class
REPOSITORY = 'github.com/zhouzaida/channel-distillation 2464d30'
GOLDEN = [
    Golden(
        CD,
        [(2, 4, 4, 4), (2, 6, 2, 2)],
        value=0.9158317402107782,
        gradient=0.2755797795637806,
        source=f'{REPOSITORY}: CDLoss()',
    ),
    Golden(
        CD,
        [(2, 4, 4, 4), (2, 3, 2, 2)],
        [(2, 4, 4, 4), (2, 6, 2, 2)],
        connector=ALIGN,
        fill=True,
        value=3.481911387703109,
        gradient=0.25305318640548335,
        source=f'{REPOSITORY}: CDLoss() behind conv1x1_bn(4, 4), conv1x1_bn(3, 6)',
    ),
    Golden(
        GKD,
        (6, 10),
        targets=Targets(labels=RIGHT),
        value=1.0579004695751906,
        gradient=0.28295342307341104,
        source=f'{REPOSITORY}: KDLossv2(1.0)',
    ),
    Golden(
        lambda: GKD(tau=4.0),
        (6, 10),
        targets=Targets(labels=RIGHT),
        value=1.8518353128152782,
        gradient=0.35601217398928114,
        source=f'{REPOSITORY}: KDLossv2(4.0)',
    ),
]


def test_positions_do_not_matter() -> None:
    s, t = wave(2, 3, 4, 4), wave(2, 3, 2, 2, phase=1)
    assert torch.allclose(CD()(s, t), CD()(s.flip(2).mT, t.mean((2, 3), keepdim=True)))


def test_other_channels() -> None:
    with pytest.raises(ValueError, match=r'student has 3, the teacher 1.*Align'):
        CD()(wave(2, 3, 4, 4), wave(2, 1, 4, 4))


def test_a_teacher_that_is_never_right() -> None:
    s, t = wave(4, 5).requires_grad_(), wave(4, 5, phase=1)
    value = GKD()(s, t, Targets(labels=(t.argmax(1) + 1) % 5))
    value.backward()
    assert value == 0 and not s.grad.any()


@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_a_teacher_that_is_always_right(tau: float) -> None:
    s, t = wave(4, 5), wave(4, 5, phase=1)
    value = GKD(tau)(s, t, Targets(labels=t.argmax(1)))
    assert torch.allclose(value, KD(tau)(s, t))


def test_ignored_pixels_are_left_out() -> None:
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=2)
    right = t.argmax(1)
    right[:, 0] = 255
    left = KD(1.0)(s[:, :, 1:], t[:, :, 1:])
    assert torch.allclose(GKD()(s, t, Targets(seg_maps=list(right))), left)


def test_labels_are_needed() -> None:
    with pytest.raises(ValueError, match='needs the class of every row'):
        GKD()(wave(4, 5), wave(4, 5))
