"""SRRL: values of the authors' code and by loops; the teacher's classifier stays."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, Learns, Made, wave
from torch import nn

from mmkd.loss import Site
from mmkd.losses import SRRL


def teacher() -> nn.Module:
    """A classifier of 4 channels and 7 classes."""
    fc = nn.Linear(4, 7).double()
    fc.weight.data = wave(7, 4, scale=0.5)
    fc.bias.data = wave(7, phase=1, scale=0.5) + 1
    model = nn.ModuleDict(dict(head=nn.ModuleDict(dict(fc=fc))))
    return model.requires_grad_(False)


CASES = [
    Case(SRRL, (2, 4, 3, 3), (2, 4, 2, 2), model=teacher),
    Case(lambda: SRRL(logits=0.5), (3, 4), model=teacher),
]
SOURCE = (
    'github.com/jingyang2017/KD_SRRL d2e802f: statm_loss()(s, t) + {} * '
    'mse_loss(net_t(None, feat_s=s), net_t(None, feat_s=t))'
)
GOLDEN = [
    Golden(
        SRRL,
        [(2, 3, 4, 4)],
        [(2, 4, 4, 4)],
        model=teacher,
        connector=dict(
            type='mmkd.Align',
            space='keep',
            always=True,
            bias=False,
            norm=True,
            relu=True,
        ),
        fill=True,
        value=2.5917629285930053,
        gradient=0.06149570495042074,
        source=SOURCE.format('1'),
    ),
    Golden(
        lambda: SRRL(logits=2.5),
        (2, 4, 3, 3),
        (2, 4, 4, 4),
        model=teacher,
        value=0.19417350309259,
        gradient=0.15206613329576635,
        source=SOURCE.format('2.5'),
    ),
]
LEARNS = Learns()


def made(**settings: float) -> SRRL:
    case = Case(lambda: SRRL(**settings), (2, 4), model=teacher)
    return Made(case, torch.float64).loss


def test_naive() -> None:
    s, t, fc = wave(2, 4), wave(2, 4, phase=1), teacher()['head']['fc']
    features, said = 0.0, 0.0
    for a, b in zip(s, t):
        features += sum(float(x - y) ** 2 for x, y in zip(a, b))
        for row in fc.weight:
            said += float(sum(w * (x - y) for w, x, y in zip(row, a, b))) ** 2
    value = features / (2 * 4) + 3 * said / (2 * 7)
    assert made(logits=3.0)(s, t).item() == pytest.approx(value)


def test_maps_are_averaged() -> None:
    """So that the order of the positions does not matter, nor another size."""
    s, t, loss = wave(2, 4, 2, 3), wave(2, 4, 3, 3, phase=1), made()
    value = loss(s.mean((2, 3)), t.mean((2, 3))).item()
    for other in (s, s.flip(3), s.mT, s.repeat(1, 1, 2, 2)):
        assert loss(other, t).item() == pytest.approx(value)


def test_the_classifier_does_not_learn() -> None:
    loss = made()
    assert not list(loss.parameters()) and not loss.state_dict()


@pytest.mark.parametrize(
    ('loss', 'channels', 'words'),
    [
        (SRRL(), 3, "'head.fc' reads 4 channels, and the student gives 3.*Align"),
        (SRRL('head.layer'), 4, "no part 'head.layer'|'head.layer' cannot"),
    ],
)
def test_what_cannot_be_judged(loss: SRRL, channels: int, words: str) -> None:
    site = Site([wave(2, channels)], [wave(2, 4)], teacher=teacher(), name='loss_srrl')
    with pytest.raises(ValueError, match=words):
        loss.build(site)
