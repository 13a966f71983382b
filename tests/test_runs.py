"""Whole runs with mmengine's Runner: stop, resume, EMA, validation, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import zoo

from mmkd.build import build_model

EMA = dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.1)


def scheduled(kind: str, by: str) -> dict[str, Any]:
    """The terms of a kind, the first with a ramp and the others ending early."""
    ramp = dict(kind='linear', by=by, end=3)
    stop = dict(kind='stop', by=by, begin=3)
    terms = {
        key: dict(term, schedule=stop if i else ramp)
        for i, (key, term) in enumerate(zoo.TERMS[kind].items())
    }
    return runs.model_config(kind, terms=terms)


def weights(runner: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


@pytest.mark.parametrize(
    ('kind', 'total', 'by'),
    [
        ('cls', dict(epochs=4), 'epoch'),
        ('cls', dict(iters=6), 'iter'),
        ('pspnet', dict(iters=5), 'iter'),
        ('faster_rcnn', dict(iters=5), 'iter'),
    ],
)
def test_resume_is_as_if_never_stopped(kind: str, total: dict, by: str, tmp_path: Path):
    """Weights, connectors, EMA and every logged term, with schedules under way."""
    hooks = [EMA, dict(type='mmkd.SeedIterations')]
    settings = dict(model=scheduled(kind, by), custom_hooks=hooks, **total)
    whole = runs.runner(kind, tmp_path / 'whole', **settings)
    whole.train()

    first = runs.runner(kind, tmp_path / 'parts', **settings)
    limit = 2
    last = first.train_loop

    class Stop(Exception):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise Stop

    hook = 'before_train_epoch' if by == 'epoch' else 'before_train_iter'
    original = first.call_hook

    def call_hook(name: str, **kwargs: Any) -> None:
        if name == hook and (last.epoch if by == 'epoch' else last.iter) == limit:
            stop()
        original(name, **kwargs)

    first.call_hook = call_hook
    with pytest.raises(Stop):
        first.train()
    second = runs.runner(kind, tmp_path / 'parts', resume=True, **settings)
    second.train()

    expected, got = weights(whole), weights(second)
    assert expected.keys() == got.keys()
    assert [key for key in expected if not torch.equal(expected[key], got[key])] == []
    assert runs.logged(tmp_path / 'parts') == runs.logged(tmp_path / 'whole')
    ema = [
        next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
        for runner in (whole, second)
    ]
    states = [hook.ema_model.state_dict() for hook in ema]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_schedule_acts_in_an_iteration_based_run(tmp_path: Path):
    runs.runner('pspnet', tmp_path, model=scheduled('pspnet', 'iter'), iters=5).train()
    log = runs.logged(tmp_path)
    share = [
        log[i]['loss_kd'] / log[i]['raw_kd'] if log[i]['raw_kd'] else 0 for i in log
    ]
    assert share == pytest.approx([0, 1 / 3, 2 / 3, 1, 1], rel=1e-4)
    assert [log[i]['loss_cwt'] > 0 for i in log] == [True, True, True, False, False]


def test_epochs_in_an_iteration_based_run_are_refused(tmp_path: Path):
    runner = runs.runner(
        'pspnet', tmp_path, model=scheduled('pspnet', 'epoch'), iters=5
    )
    with pytest.raises(ValueError, match="by='iter'"):
        runner.train()


def test_validation_with_ema_and_save_best_leaves_the_weights_alone(tmp_path: Path):
    """The same weights as in a run that never validates."""
    a = runs.runner('cls', tmp_path / 'a', epochs=3, custom_hooks=[EMA])
    a.train()
    hooks = dict(
        checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto'),
    )
    b = runs.runner(
        'cls',
        tmp_path / 'b',
        epochs=3,
        custom_hooks=[EMA],
        default_hooks=hooks,
        **runs.validation('cls'),
    )
    b.train()
    assert list((tmp_path / 'b').glob('best_accuracy*'))
    one, two = weights(a), weights(b)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize('ema', [False, True])
def test_every_save_is_exported(ema: bool, tmp_path: Path):
    """No teacher in any file; the student's files load strictly, with EMA weights."""
    runner = runs.runner(
        'cls',
        tmp_path,
        epochs=2,
        custom_hooks=[dict(type='mmkd.ExportStudent'), *([EMA] if ema else [])],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto')
        ),
        **runs.validation('cls'),
    )
    runner.train()
    files = {file.name for file in tmp_path.glob('student_*.pth')}
    assert len(files) == 2 and 'student_last.pth' in files
    for file in tmp_path.glob('*.pth'):
        content = torch.load(file, weights_only=False)
        assert not any('teacher' in key for key in content['state_dict'])
    for name in files:
        student = build_model(zoo.student('cls'), 'student')
        content = torch.load(tmp_path / name, weights_only=True)  # plain data only
        student.load_state_dict(content['state_dict'], strict=True)
    average = (
        next(h for h in runner.hooks if type(h).__name__ == 'EMAHook').ema_model.module
        if ema
        else runner.model
    )
    student.load_state_dict(
        torch.load(tmp_path / 'student_last.pth', weights_only=True)['state_dict']
    )
    expected = average.student.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in student.state_dict().items())


def test_load_from_takes_a_plain_students_file(tmp_path: Path):
    student = build_model(zoo.student('cls'), 'student')
    torch.save(dict(state_dict=student.state_dict()), tmp_path / 'plain.pth')
    runner = runs.runner(
        'cls', tmp_path, epochs=1, load_from=str(tmp_path / 'plain.pth')
    )
    runner._init_model_weights()
    runner.load_or_resume()
    got = runner.model.student.state_dict()
    assert all(torch.equal(v, got[k]) for k, v in student.state_dict().items())


def test_load_from_refuses_another_model(tmp_path: Path):
    other = build_model(zoo.student('cls', width=16), 'student')
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    runner = runs.runner(
        'cls', tmp_path, epochs=1, load_from=str(tmp_path / 'other.pth')
    )
    with pytest.raises(RuntimeError, match=r'Only \d of the \d+ tensors'):
        runner.load_or_resume()


def test_student_ckpt_and_inherit(tmp_path: Path):
    student = build_model(zoo.student('faster_rcnn'), 'student')
    torch.save(student.state_dict(), tmp_path / 'student.pth')
    model = runs.model_config(
        'faster_rcnn',
        teacher=zoo.student('faster_rcnn', depth=34),
        student_ckpt=str(tmp_path / 'student.pth'),
        inherit=['neck', 'roi_head.bbox_head'],
    )
    distiller = runs.runner('faster_rcnn', tmp_path, model=model, iters=1).model
    distiller.init_weights()
    for key, value in distiller.student.state_dict().items():
        inherited = key.startswith(('neck.', 'roi_head.bbox_head.'))
        source = distiller.teacher if inherited else student
        assert torch.equal(value, source.state_dict()[key]), key
