"""The student's own losses have a weight and a schedule, as terms have."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import zoo
from mmengine.logging import MessageHub
from torch import Tensor


def steps(distiller: Any, count: int = 2) -> tuple[list[Any], dict[str, Tensor]]:
    """What is logged, and the student's weights afterwards."""
    torch.manual_seed(1)
    distiller.init_weights()
    distiller.train()
    optimizer = zoo.optimizer(distiller)
    logs = [distiller.train_step(zoo.batch('cls', i), optimizer) for i in range(count)]
    return logs, distiller.student.state_dict()


def test_it_is_the_heads_loss_weight_bit_for_bit():
    student = zoo.student('cls')
    student['head']['loss']['loss_weight'] = 0.1
    torch.manual_seed(0)
    theirs, weights = steps(zoo.distiller('cls', student=student))
    torch.manual_seed(0)
    ours, own = steps(zoo.distiller('cls', own=dict(weight=0.1)))
    assert ours == theirs
    assert all(torch.equal(own[key], weights[key]) for key in weights)
    torch.manual_seed(0)
    whole, _ = steps(zoo.distiller('cls'))
    assert (
        whole[0]['loss'] > ours[0]['loss'] and whole[0]['raw_kd'] == ours[0]['raw_kd']
    )


def losses(distiller: Any, kind: str) -> dict[str, Any]:
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    torch.manual_seed(0)
    found: dict[str, Any] = distiller(**data, mode='loss')
    return found


@pytest.mark.parametrize('kind', ['faster_rcnn', 'retinanet', 'pspnet'])
@pytest.mark.parametrize('weight', [0.25, 0.0])
def test_every_loss_counts_less(kind: str, weight: float):
    """Lists of losses too; accuracies stay, and so do the terms'."""
    distiller = zoo.distiller(kind).train()
    whole = losses(distiller, kind)
    distiller.own.weight = weight
    part = losses(distiller, kind)
    assert list(part) == list(whole)
    assert any('loss' in key and key not in distiller.terms for key in whole)
    for key, value in whole.items():
        counts = 'loss' in key and key not in distiller.terms
        factor = weight if counts else 1.0
        several = value if isinstance(value, list) else [value]
        other = part[key] if isinstance(value, list) else [part[key]]
        assert len(other) == len(several)
        assert all(torch.equal(a * factor, b) for a, b in zip(several, other)), key


def test_at_zero_everything_still_hangs_together():
    """DDP waits for every weight: each gets a gradient, of zero from its own loss."""
    distiller = zoo.distiller('cls', weight=0, own=dict(weight=0)).train()
    total, log = distiller.parse_losses(losses(distiller, 'cls'))
    total.backward()
    assert total == 0 and log['loss'] == 0
    for parameter in distiller.student.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


def test_it_follows_its_schedule():
    pieces = [dict(kind='linear', end=10), dict(kind='stop', begin=8)]
    distiller = zoo.distiller('cls', own=dict(weight=2, schedule=pieces)).train()
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 10)
    state = copy.deepcopy(distiller.student.state_dict())
    found = []
    for iteration in (0, 4, 5, 8):
        hub.update_info('iter', iteration)
        distiller.student.load_state_dict(state)  # the norms' statistics
        found.append(losses(distiller, 'cls')['loss'].item())
    assert found == pytest.approx([0, 0.8 * found[2], found[2], 0]) and found[2] > 0


def test_a_resumed_run_goes_on_with_it(tmp_path: Path):
    def model() -> dict[str, Any]:
        piece = dict(kind='linear', start=1, stop=0, end=4)
        own = dict(weight=0.5, schedule=piece)
        return runs.model_config('cls', own=own)

    whole = runs.runner('cls', tmp_path / 'a', model=model(), iters=4)
    whole.train()
    runs.runner('cls', tmp_path / 'b', model=model(), iters=2).train()
    again = runs.runner('cls', tmp_path / 'b', model=model(), iters=4, resume=True)
    again.train()
    assert again.model.own.weight == whole.model.own.weight == 0.125
    one, two = runs.logged(tmp_path / 'a'), runs.logged(tmp_path / 'b')
    assert one == two and len(one) == 4


def test_watchers_see_what_counts(monkeypatch: pytest.MonkeyPatch):
    """And terms called like the student's part do not take its place."""
    kd = dict(student='head.fc', loss=dict(type='mmkd.KD'))
    terms = dict(loss_task=kd, loss_kd=kd)
    distiller = zoo.distiller('cls', own=dict(weight=0.5), terms=terms).train()
    seen: list[Any] = []
    distiller.watch = lambda _, parts: seen.append(parts)
    values = losses(distiller, 'cls')
    parts = seen[0]
    assert list(parts) == ['task', 'loss_task', 'kd']
    assert parts['task'] == dict(loss=values['loss'])
    assert parts['loss_task'] == dict(loss_task=values['loss_task'])


@pytest.mark.parametrize(
    ('own', 'words'),
    [
        (dict(wieght=1), "own: nobody reads the key 'wieght'; did you mean 'weight'"),
        (dict(weight=-1), 'own.weight: -1 is not a number, 0 or more'),
        (dict(schedule=dict(kind='no')), "own.schedule: kind 'no': choose from"),
        (dict(where='x'), "own: nobody reads the key 'where'"),
        (3, 'own: 3 is not a dict'),
    ],
)
def test_mistakes(own: Any, words: str):
    with pytest.raises(ValueError, match=words):
        zoo.distiller('cls', own=own)
