"""Before training: is what was made from data of these, and what stays for good?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import runs
import torch
import zoo
from torch import Tensor, nn

from mmkd.hooks import CheckData, DescribeStudent
from mmkd.loss import Loss, Site
from mmkd.registry import MODELS


@MODELS.register_module(force=True)
class Particular(Loss):
    """A loss for one data set."""

    same_shape = False
    asked: list[Any] = []

    def build(self, site: Site) -> None:
        self.level = site.students[0].shape[1]

    def check_data(self, dataset: Any) -> None:
        self.asked.append((self.level, dataset))
        if dataset == 'other':
            raise ValueError('made for other data')

    def forward(self, student: Tensor, teacher: Tensor, targets: Any = None) -> Tensor:
        return student.mean()


def start(hook: Any, model: Any, dataset: Any) -> list[str]:
    said: list[str] = []
    loader = SimpleNamespace(dataset=dataset)
    logger = SimpleNamespace(info=said.append)
    hook.before_train(
        SimpleNamespace(model=model, train_dataloader=loader, logger=logger)
    )
    return said


def test_every_loss_that_counts_is_asked():
    """One of each level; and every recording."""
    term = dict(student='backbone.layer1', loss=dict(type='mmkd.Particular'))
    two = dict(term, student=['backbone.layer2', 'backbone.layer3'])
    terms = dict(loss_a=term, loss_b=two, loss_off=dict(term, weight=0))
    distiller = zoo.distiller('cls', terms=terms)
    loaders: list[Any] = []
    distiller.recordings['x'] = SimpleNamespace(check_data=loaders.append)
    Particular.asked.clear()
    start(CheckData(), distiller, 'mine')
    assert Particular.asked == [(width, 'mine') for width in (4, 8, 16)]
    assert [loader.dataset for loader in loaders] == ['mine']
    with pytest.raises(ValueError, match='made for other data'):
        start(CheckData(), distiller, 'other')
    start(CheckData(), zoo.plain('cls'), 'other')  # no distiller: nothing to ask


class Stays(nn.Module):
    """Something that a method left in the student."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 9, bias=False, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out

    def macs(self, positions: int) -> int:
        return self.conv.weight.numel() * positions


def test_what_stays_in_the_student_is_described():
    distiller = zoo.distiller('cls')
    before = sum(p.numel() for p in distiller.student.parameters())
    dataset = runs.Images('cls')
    assert start(DescribeStudent(), distiller, dataset) == []
    assert start(DescribeStudent(), zoo.plain('cls'), dataset) == []
    distiller.student.backbone.layer3.add_module('stays', Stays())
    state = torch.get_rng_state()
    (said,) = start(DescribeStudent(), distiller.train(), dataset)
    assert torch.equal(torch.get_rng_state(), state) and distiller.student.training
    own, macs = 16 * 16 * 81, 16 * 16 * 81 * 8 * 8  # layer3 has maps of 8 x 8
    assert said == (
        f'The student has {before / 1e6:.3f} M parameters, and {own / 1e6:.3f} M in '
        f'layers that stay in it (+{own / before:.0%}), which add {macs / 1e6:.1f} M '
        'multiplications at 32x32.'
    )
