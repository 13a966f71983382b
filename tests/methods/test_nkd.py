"""NKD: values of the authors' code, also for mixed images, and where it is smallest."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from harness import Case, Golden, wave

from mmkd.losses import NKD
from mmkd.targets import Targets

CASES = [
    Case(NKD, (4, 5), targets='labels', rows=True, zero=False),
    Case(lambda: NKD(tau=3.0, gamma=3.5), (2, 5, 4, 4), targets='pixels', zero=False),
]
SOURCE = 'github.com/yzd-v/cls_KD 1e5d48f: NKDLoss(temp, gamma)'
GOLDEN = [
    Golden(
        NKD,
        (4, 10),
        targets='labels',
        value=3.9090788567893924,
        gradient=0.40857972572185347,
        source=SOURCE,
    ),
    Golden(
        lambda: NKD(tau=3.0, gamma=3.5),
        (6, 5),
        targets='labels',
        value=43.86808849266995,
        gradient=1.2866278426890623,
        source=SOURCE,
    ),
    Golden(  # of soft labels the largest counts
        NKD,
        (4, 10),
        targets=Targets(scores=wave(4, 10, phase=2).softmax(1)),
        value=4.0473539053926295,
        gradient=0.4210139699071921,
        source=SOURCE,
    ),
]


def test_equal_others_pull_nowhere():
    """What is left is the target's cross-entropy, as much as the teacher is sure."""
    s, labels = wave(4, 5).requires_grad_(), torch.tensor([0, 1, 4, 2])
    NKD(tau=2.0)(s, s, Targets(labels=labels)).backward()
    p = s.detach().softmax(1)
    sure = p.gather(1, labels[:, None])
    assert torch.allclose(s.grad, sure * (p - F.one_hot(labels, 5)) / 4, atol=1e-15)


def test_constants_do_not_matter():
    s, t, targets = wave(4, 5), wave(4, 5, phase=1), Targets(labels=torch.arange(4))
    moved = NKD(3.0)(s + wave(4, 1), t - wave(4, 1), targets)
    assert moved.item() == pytest.approx(NKD(3.0)(s, t, targets).item(), rel=1e-12)


def test_rows_without_a_class_are_left_out():
    s, t = wave(3, 5), wave(3, 5, phase=1)
    some = NKD()(s, t, Targets(labels=torch.tensor([-1, 2, 5])))
    one = NKD()(s[1:2], t[1:2], Targets(labels=torch.tensor([2])))
    assert some.item() == pytest.approx(one.item(), rel=1e-12)
    with pytest.raises(ValueError, match='needs the class of every row'):
        NKD()(s, t)
