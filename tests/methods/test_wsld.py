"""WSLD: values of the authors' code and of cls_KD's, and what the weights do."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from harness import Case, Golden, wave

from mmkd.losses import WSLD
from mmkd.targets import Targets

CASES = [
    Case(WSLD, (4, 5), targets='labels', rows=True, zero=False, held=True),
    Case(lambda: WSLD(tau=4.0), (2, 5, 4, 4), targets='pixels', zero=False, held=True),
]
ZHOU = 'github.com/bellymonster/Weighted-Soft-Label-Distillation 67820dd'
CLS_KD = 'github.com/yzd-v/cls_KD 1e5d48f'
GOLDEN = [
    Golden(
        WSLD,
        (3, 1000),
        targets='labels',
        value=17.926730306910766,
        gradient=0.022528486819728098,
        source=f'{ZHOU}: WSLDistiller(), soft_loss',
    ),
    Golden(
        WSLD,
        (4, 10),
        targets='labels',
        value=5.789207784762861,
        gradient=0.18932809376443763,
        source=f'{CLS_KD}: WSLDLoss(temp=2.0, alpha=1.0)',
    ),
    Golden(
        lambda: WSLD(tau=4.0),
        (6, 5),
        targets='labels',
        value=16.829290076708407,
        gradient=0.2303723049560292,
        source=f'{CLS_KD}: WSLDLoss(temp=4.0, alpha=1.0)',
    ),
]
LABELS = Targets(labels=torch.tensor([0, 1, 2]))


def test_equals_have_one_weight():
    x = wave(3, 4)
    soft = 4 * F.cross_entropy(x / 2, (x / 2).softmax(1)).item()
    value = WSLD()(x, x, LABELS).item()
    assert value == pytest.approx((1 - math.exp(-1)) * soft, rel=1e-6)


def test_who_knows_the_label_learns_nothing():
    t = wave(3, 4)
    sure = (50 * F.one_hot(LABELS.labels, 4)).double().requires_grad_()
    WSLD()(sure, t, LABELS).backward()
    assert sure.grad.abs().max() < 1e-6
    wrong = (50 * F.one_hot(LABELS.labels + 1, 4)).double().requires_grad_()
    WSLD()(wrong, t, LABELS).backward()
    assert wrong.grad.abs().max() > 0.1


def test_rows_without_a_class_are_left_out():
    s, t = wave(3, 4), wave(3, 4, phase=1)
    some = WSLD()(s, t, Targets(labels=torch.tensor([-1, 2, 4])))
    one = WSLD()(s[1:2], t[1:2], Targets(labels=torch.tensor([2])))
    assert some.item() == pytest.approx(one.item(), rel=1e-12)
    with pytest.raises(ValueError, match='needs the class of every row'):
        WSLD()(s, t)
