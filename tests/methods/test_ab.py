"""AB: RepDistiller's values, number by number; two stages; the places of its taps."""

from __future__ import annotations

import cells
import pytest
import torch
import zoo
from harness import Case, Golden
from mmengine.config import Config
from torch import nn

import mmkd
from mmkd.losses import AB
from mmkd.recorder import Recorder
from mmkd.registry import MODELS

LEVELS = [(3, 2, 4, 4), (3, 4, 3, 3), (3, 5, 2, 2)]
CASES = [Case(AB, LEVELS, zero=False)]
SOURCE = 'github.com/HobbitLong/RepDistiller b84f547: sum(ABLoss(3, {})(s, t)) / 0.003'
GOLDEN = [
    Golden(
        lambda margin=margin: AB(margin),
        LEVELS,
        value=value / 0.003,
        gradient=gradient / 0.003,
        source=SOURCE.format(margin),
    )
    for margin, value, gradient in (
        (1.0, 0.2866570857120325, 0.027482469680792026),
        (2.0, 0.5788912429820341, 0.039034401684084334),
    )
]


@pytest.mark.parametrize(
    ('s', 't', 'value'),
    [
        (1.0, 0.1, 0.0),  # active, by the margin
        (0.25, 9.0, 0.75**2),  # how active does not matter
        (-0.5, 0.1, 1.5**2),
        (-1.0, -0.1, 0.0),
        (0.5, 0.0, 1.5**2),  # a teacher at zero is not active
    ],
)
def test_of_a_number(s: float, t: float, value: float):
    level = torch.full((1, 1, 1, 1), s), torch.full((1, 1, 1, 1), t)
    assert AB()(*([x] for x in level)).item() == pytest.approx(value)
    assert AB()(*([x] * 3 for x in level)).item() == pytest.approx(1.75 * value)


@pytest.mark.parametrize(('epoch', 'first'), [(0, True), (29, True), (30, False)])
def test_one_loss_after_the_other(epoch: int, first: bool):
    config = Config(dict(model=zoo.student('cifar')))
    teacher = zoo.student('cifar', width=8)
    config = mmkd.distill(config, 'ab', teacher, 'random', kind='cifar')
    distiller = MODELS.build(config.model).train()
    cells.at(epoch)
    data = distiller.data_preprocessor(zoo.batch('cifar', count=4), True)
    losses = distiller(**data, mode='loss')
    assert (losses['loss_ab'] > 0) == first
    assert (losses['loss'] > 0) != first


def test_taps_are_in_front_of_the_relus_at_the_ends_of_stages():
    distiller = MODELS.build(cells.cell('ab', 'cifar'))
    paths, model = distiller.terms['loss_ab'].student_paths, distiller.student
    stages = [f'backbone.stages.{i}' for i in range(3)]
    with Recorder(model, [*paths, *stages], paths) as seen:
        model.extract_feat(torch.randn(2, 3, 32, 32))
    for path, stage in zip(paths, stages):
        (level,) = seen[path]
        assert torch.equal(level.relu(), seen[stage][0]) and (level < 0).any()
    assert not any(
        isinstance(part, nn.ReLU) for part in distiller.terms['loss_ab'].modules()
    )
