"""GradientShare: right numbers, and a training that does not notice it."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import runs
import torch
import zoo
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from mmkd.hooks import GradientShare
from mmkd.hooks.gradient_share import gradient_norm

EVERY = dict(type='mmkd.GradientShare', interval=1)


def shares(work_dir: Path) -> list[dict[str, float]]:
    """What was logged of each step that was measured."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    found = [
        {k[11:]: v for k, v in entry.items() if k.startswith('grad_share/')}
        for entry in entries
    ]
    return [entry for entry in found if entry]


def self_distiller() -> dict[str, Any]:
    """FRSKD on the small classifier, all of whose stages are read."""
    student = zoo.student('cls')
    student['backbone']['out_indices'] = (0, 1, 2, 3)
    return dict(
        type='mmkd.SelfDistiller',
        student=student,
        teacher=dict(type='mmkd.FRSKDTeacher'),
        teacher_reads='backbone',
        teacher_target='head.fc',
        terms=dict(
            loss_kd=dict(student='head.fc', teacher='head', loss=dict(type='mmkd.KD'))
        ),
    )


def dropped(config: dict[str, Any]) -> dict[str, Any]:
    """A student whose training draws random numbers."""
    config['student']['backbone'].update(drop_path_rate=0.5)
    return config


def weights(runner: Any) -> dict[str, torch.Tensor]:
    return runner.model.state_dict()


@pytest.mark.parametrize(
    ('kind', 'model', 'settings'),
    [
        ('cls', lambda: dropped(runs.model_config('cls')), dict(epochs=2)),
        ('cls', self_distiller, dict(iters=4)),
        ('faster_rcnn', lambda: None, dict(iters=2)),  # regions are drawn at random
        ('pspnet', lambda: None, dict(epochs=1)),  # dropout in its heads
    ],
    ids=['epochs', 'self', 'regions', 'dropout'],
)
def test_training_is_the_same_bit_for_bit(kind, model, settings, tmp_path: Path):
    states = []
    optimizer = dict(
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9), accumulative_counts=2
    )
    for name, hooks in (('without', []), ('with', [EVERY])):
        runner = runs.runner(
            kind,
            tmp_path / name,
            model(),
            custom_hooks=hooks,
            optim_wrapper=optimizer,
            **settings,
        )
        torch.manual_seed(1)
        runner.train()
        states.append(weights(runner))
        states.append(torch.get_rng_state())
    assert torch.equal(states[1], states[3])
    assert all(torch.equal(states[0][key], states[2][key]) for key in states[0])
    found = shares(tmp_path / 'with')
    assert found
    for entry in found:
        assert sum(entry.values()) == pytest.approx(1)
        assert min(entry.values()) > 0
    names = {'task', 'kd'} | ({'teacher'} if model is self_distiller else set())
    assert names <= set(found[0])


def test_the_share_is_that_of_plain_backward_passes(tmp_path: Path):
    """Naively: one backward pass for each loss alone, and the norms of .grad."""
    model = zoo.distiller('cls').train()
    data = model.data_preprocessor(zoo.batch('cls', count=4), True)
    hook, hub = GradientShare(), MessageHub.get_instance('share')
    hook.hub, model.watch = hub, hook.watch
    logged_after = model(**data, mode='loss')
    model.watch = None
    found = {
        key[17:]: buffer.current()
        for key, buffer in hub.log_scalars.items()
        if 'grad_share' in key
    }
    norms = {}
    for name, keys in (('task', ['loss']), ('kd', ['loss_kd']), ('cwt', ['loss_cwt'])):
        model.zero_grad()
        losses = model(**data, mode='loss')
        assert losses.keys() == logged_after.keys()
        sum(losses[key] for key in keys).backward()
        grads = [p.grad for p in model.student.parameters() if p.grad is not None]
        norms[name] = math.sqrt(sum(float(g.square().sum()) for g in grads))
    whole = sum(norms.values())
    assert found == pytest.approx({k: v / whole for k, v in norms.items()}, rel=1e-4)


def test_a_term_that_is_off_has_no_share(tmp_path: Path):
    config = runs.model_config('cls')
    stop = dict(kind='stop', begin=2)
    config['terms'] = {k: dict(t, schedule=stop) for k, t in config['terms'].items()}
    runner = runs.runner('cls', tmp_path, config, iters=4, custom_hooks=[EVERY])
    runner.train()
    found = shares(tmp_path)
    assert [entry['kd'] > 0 for entry in found] == [True, True, False, False]
    assert found[-1] == dict(task=1, kd=0, cwt=0)


def test_it_measures_at_its_interval_only(tmp_path: Path, monkeypatch):
    calls = []
    real = GradientShare.watch
    monkeypatch.setattr(
        GradientShare, 'watch', lambda *args: (calls.append(1), real(*args))
    )
    hook = dict(EVERY, interval=3)
    runs.runner('cls', tmp_path, iters=7, custom_hooks=[hook]).train()
    assert len(calls) == 2
    with pytest.raises(ValueError, match='interval=0'):
        GradientShare(interval=0)


def test_a_plain_model_is_left_alone(tmp_path: Path):
    model = zoo.student('cls')
    runs.runner('cls', tmp_path, model, iters=2, custom_hooks=[EVERY]).train()
    assert shares(tmp_path) == []


@pytest.mark.parametrize('how', ['with_cp', 'fails'])
def test_what_cannot_be_measured_is_trained_all_the_same(how, tmp_path, monkeypatch):
    config = runs.model_config('cls')
    if how == 'with_cp':
        config['student']['backbone']['with_cp'] = True
    else:

        def fail(*_: Any) -> None:
            raise RuntimeError('out of memory')

        monkeypatch.setattr('mmkd.hooks.gradient_share.gradient_norm', fail)
    warned = []
    monkeypatch.setattr(
        'mmkd.hooks.gradient_share.print_log', lambda text, *_: warned.append(text)
    )
    runs.runner('cls', tmp_path, config, iters=3, custom_hooks=[EVERY]).train()
    assert len(warned) == 1 and 'does not measure' in warned[0]
    assert shares(tmp_path) == []


class HalfPrecision(OptimWrapper):
    """Mixed precision on a CPU, where mmengine's own wrapper refuses to be built."""

    loss_scaler = SimpleNamespace(get_scale=lambda: 2.0**10)

    @contextmanager
    def optim_context(self, model: Any):
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def test_mixed_precision_gives_nearly_the_same_shares():
    found = []
    for kind in (OptimWrapper, HalfPrecision):
        torch.manual_seed(0)
        model = zoo.distiller('cls').train()
        sgd = torch.optim.SGD(model.parameters(), lr=0.01)
        hub = MessageHub.get_instance(kind.__name__)
        runner = SimpleNamespace(
            model=model, optim_wrapper=kind(sgd), message_hub=hub, iter=0
        )
        hook = GradientShare(interval=1)
        hook.before_train_iter(runner, 0)
        model.train_step(zoo.batch('cls', count=4), runner.optim_wrapper)
        hook.after_train_iter(runner, 0)
        assert model.watch is None
        found.append({k: b.current() for k, b in hub.log_scalars.items()})
    assert found[0] and found[1] == pytest.approx(found[0], rel=0.1)


def test_norm_of_what_has_no_gradient():
    weight = torch.ones(2, requires_grad=True)
    assert gradient_norm(0, [weight]) == 0
    assert gradient_norm(torch.ones(()), [weight]) == 0
    other = torch.ones((), requires_grad=True)
    assert gradient_norm(other * 2, [weight]) == 0
    assert gradient_norm((weight * torch.tensor([3.0, 4.0])).sum(), [weight]) == 5


def two_ranks(rank: int, folder: Path) -> None:
    """Two steps with and without the hook, under DDP with a static graph."""
    result: dict[str, Any] = {}
    for name in ('without', 'with'):
        torch.manual_seed(0)
        model = MMDistributedDataParallel(
            zoo.distiller('cls').train(), static_graph=True
        )
        hub = MessageHub.get_instance(f'{name}_{rank}')
        runner = SimpleNamespace(
            model=model, optim_wrapper=zoo.optimizer(model), message_hub=hub, iter=0
        )
        hook = GradientShare(interval=1)
        for step in range(3):
            if name == 'with':
                hook.before_train_iter(runner, step)
            data = zoo.batch('cls', seed=10 * step + rank)
            model.train_step(data, runner.optim_wrapper)
            hook.after_train_iter(runner, step)
        result[name] = model.module.state_dict()
        result['keys'] = sorted(hub.log_scalars)
    torch.save(result, folder / f'{rank}.pth')


@pytest.mark.slow
def test_under_ddp(tmp_path: Path):
    runs.on_two_ranks(two_ranks, tmp_path)
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pth', weights_only=True)
        assert 'train/grad_share/task' in found['keys']
        for key, value in found['with'].items():
            assert torch.equal(value, found['without'][key]), key
