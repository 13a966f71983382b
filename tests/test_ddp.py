"""Two processes on the CPU: equal weights, no unused parameters, resumed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import zoo
from cells import cell
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel

from mmkd.build import build_model
from mmkd.fingerprint import data_fingerprint, teacher_fingerprint
from mmkd.losses import LetKDIntermediate, LetKDPenultimate
from mmkd.mixin import OUR_HOOKS

# Off, ramping up, off again: DDP must not wait for the connectors' gradients.
SCHEDULE = [
    dict(kind='linear', end=2),
    dict(kind='stop', begin=3),
]


def train(rank: int, folder: Path, kind: str) -> None:
    """Four steps on one rank; saves what it ends with."""
    torch.manual_seed(0)
    terms = {k: dict(t, schedule=SCHEDULE) for k, t in zoo.TERMS[kind].items()}
    distiller = zoo.distiller(kind, terms=terms).train()
    model = MMDistributedDataParallel(distiller, find_unused_parameters=False)
    optimizer = zoo.optimizer(model)
    hub = MessageHub.get_instance(f'ddp_{rank}')
    hub.update_info('max_iters', 4)
    logs: list[Any] = []
    for step in range(4):
        hub.update_info('iter', step)
        log = model.train_step(zoo.batch(kind, seed=10 * step + rank), optimizer)
        logs.append({key: float(value) for key, value in log.items()})
    teacher = [p.detach().clone() for p in distiller.teacher.parameters()]
    result = dict(state=distiller.state_dict(), logs=logs, teacher=teacher)
    torch.save(result, folder / f'{rank}.pth')


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'pspnet'])
def test_two_ranks(kind: str, tmp_path: Path):
    runs.on_two_ranks(train, tmp_path, kind)
    one, two = (
        torch.load(tmp_path / f'{rank}.pth', weights_only=True) for rank in range(2)
    )
    trained = [k for k in one['state'] if 'running_' not in k and 'num_b' not in k]
    assert any(key.startswith('terms.') for key in trained)
    # Weights agree though data differed; BatchNorm's statistics are each rank's own.
    for key in trained:
        assert torch.equal(one['state'][key], two['state'][key]), key
    assert all(torch.equal(a, b) for a, b in zip(one['teacher'], two['teacher']))
    assert one['logs'] != two['logs']
    for log in one['logs'], two['logs']:
        assert [entry['loss_kd'] > 0 for entry in log] == [False, True, True, False]


# -- whole runs of the methods ---------------------------------------------------------


def run(method: str, folder: Path, epochs: int, resume: bool = False) -> Any:
    """A Runner's training on this rank."""
    wrapper = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=False,
    )
    hooks = [dict(type=hook) for hook in OUR_HOOKS]
    model = cell(method, 'cls')
    if method == 'sakd':
        model.terms.loss_branch.loss.recipe = dict(epochs=2)
    if method == 'letkd':
        model.teacher_ckpt = str(folder.parent / 'teacher.pth')
        for term in model.terms.values():
            term.loss.codebook = str(folder.parent / 'codebook.pth')
    if method == 'frskd':  # with all that it can have
        model.teacher.type = 'mmkd.FRSKDSLATeacher'
    runner = runs.runner(
        'cls',
        folder,
        model=model,
        epochs=epochs,
        resume=resume,
        custom_hooks=hooks,
        launcher='pytorch',
        cfg=dict(model_wrapper_cfg=wrapper),
    )
    runner.train()
    return runner


def go_on(rank: int, folder: Path, method: str) -> None:
    """On one rank of two: a run in one go, and one that is stopped and resumed."""
    parts = folder / 'parts'
    whole = run(method, folder / 'whole', 2)
    run(method, parts, 1)
    again = run(method, parts, 2, resume=True)
    states = [runner.model.module.state_dict() for runner in (whole, again)]
    torch.save(states, folder / f'{rank}.pth')


def make_codebook(folder: Path) -> None:
    """A teacher, and a meaningless codebook that says it is of it and of the images."""
    teacher = build_model(zoo.student('cls', width=8), 'teacher')
    torch.save(dict(state_dict=teacher.state_dict()), folder / 'teacher.pth')
    meta = dict(
        teacher=teacher_fingerprint(teacher),
        data=data_fingerprint(runs.Images('cls')),
        paths=dict(penultimate=['backbone[-1]'], intermediate=['backbone.layer4.0']),
        subclasses=8,
    )
    content = dict(
        meta=meta,
        penultimate=LetKDPenultimate().random(16, 64),
        intermediate=LetKDIntermediate().random(8 * zoo.CLASSES, 64),
    )
    torch.save(content, folder / 'codebook.pth')


# What has to be in a checkpoint beside the student as it was.
KEPT = {
    'sakd': ['terms.loss_branch.losses.0.prelude.'],
    'cwt': ['terms.loss_cwt.connectors.0.'],
    'frskd': ['teacher.pyramid.', 'teacher.joint.', 'teacher.student_joint.'],
    'letkd': ['kd_layers.penultimate.', 'kd_layers.intermediate.'],
}


@pytest.mark.slow
@pytest.mark.parametrize('method', KEPT)
def test_methods_on_two_ranks(method: str, tmp_path: Path):
    """Both ranks have the same weights; a resumed run ends as one in one go."""
    make_codebook(tmp_path)
    runs.on_two_ranks(go_on, tmp_path, method)
    ranks = [torch.load(tmp_path / f'{i}.pth', weights_only=True) for i in range(2)]
    for whole, again in ranks:
        assert whole.keys() == again.keys()
        for part in KEPT[method]:
            assert any(part in key for key in whole)
        differ = [key for key in whole if not torch.equal(whole[key], again[key])]
        # A checkpoint holds rank 0's statistics: the other rank resumes with those.
        assert all('running_' in key for key in differ)
    assert not [k for k in ranks[0][0] if not torch.equal(*(s[k] for s in ranks[0]))]
    trained = [k for k in ranks[0][0] if 'running_' not in k and 'num_b' not in k]
    assert all(torch.equal(ranks[0][0][k], ranks[1][0][k]) for k in trained)
    assert runs.logged(tmp_path / 'whole') == runs.logged(tmp_path / 'parts')
