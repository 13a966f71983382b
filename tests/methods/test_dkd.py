"""DKD: values of the authors' code, what it is made of, and which rows count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from harness import Case, Golden, wave
from mmengine.config import Config

from mmkd.losses import DKD, KD
from mmkd.schedule import make_piece
from mmkd.targets import Targets

CASES = [
    Case(DKD, (4, 5), targets='labels', rows=True),
    Case(lambda: DKD(tau=1.0, beta=0.25), (2, 5, 4, 4), targets='pixels'),
]
SOURCE = 'github.com/megvii-research/mdistiller a08d46f: dkd_loss(alpha, beta, tau)'
GOLDEN = [
    Golden(
        DKD,
        (4, 10),
        targets='labels',
        value=15.32208792797027,
        gradient=2.615133587043202,
        source=SOURCE,
    ),
    Golden(
        lambda: DKD(tau=1.0, beta=0.25),
        (6, 5),
        targets='labels',
        value=0.5706123231530111,
        gradient=0.15317146453887429,
        source=SOURCE,
    ),
    Golden(
        lambda: DKD(tau=2.0, alpha=0.5, beta=2.0),
        (3, 7),
        targets='labels',
        value=3.487802902879818,
        gradient=0.8784837179038756,
        source=SOURCE,
    ),
]


@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_kd_is_its_sum(tau: float):
    """With beta what the teacher leaves for the others, it is KD."""
    s, t, label = wave(1, 6), wave(1, 6, phase=1), torch.tensor([2])
    beta = 1 - (t / tau).softmax(1)[0, 2].item()
    both = DKD(tau, beta=beta)(s, t, Targets(labels=label))
    assert both.item() == pytest.approx(KD(tau)(s, t).item(), rel=1e-12)


def test_a_constant_of_an_image_does_not_matter():
    s, t, targets = wave(4, 5), wave(4, 5, phase=1), Targets(labels=torch.arange(4))
    moved = DKD()(s + wave(4, 1), t - wave(4, 1), targets)
    assert moved.item() == pytest.approx(DKD()(s, t, targets).item(), rel=1e-12)


def test_rows_without_a_class_are_left_out():
    s, t = wave(4, 5), wave(4, 5, phase=1)
    some = DKD()(s, t, Targets(labels=torch.tensor([1, -1, 4, 255])))
    those = DKD()(s[::2], t[::2], Targets(labels=torch.tensor([1, 4])))
    assert some.item() == pytest.approx(those.item(), rel=1e-12)


def test_pixels_are_rows():
    s, t = wave(1, 3, 2, 2), wave(1, 3, 2, 2, phase=1)
    value = DKD()(s, t, Targets(seg_maps=[torch.tensor([[0, 255], [2, 1]])]))
    flat = [x[0].flatten(1).T[[0, 2, 3]] for x in (s, t)]
    rows = DKD()(*flat, Targets(labels=torch.tensor([0, 2, 1])))
    assert value.item() == pytest.approx(rows.item(), rel=1e-12)


@pytest.mark.parametrize('targets', [None, Targets()])
def test_it_needs_classes(targets: Targets | None):
    with pytest.raises(ValueError, match='needs the class of every row'):
        DKD()(wave(2, 3), wave(2, 3), targets)


def test_warm_up_is_mdistillers():
    """Which counts epochs from 1, and divides by 20 up to 1."""
    fragment = Path(__file__).parents[2] / 'configs/_base_/methods/dkd.py'
    piece = make_piece(Config.fromfile(fragment).cifar.terms.loss_dkd.schedule[0])
    found = [piece.at(epoch, 240) for epoch in range(240)]
    assert found == pytest.approx([min((e + 1) / 20, 1) for e in range(240)])
