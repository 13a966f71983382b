"""Long runs: what a process holds does not grow from step to step."""

from __future__ import annotations

import gc
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
from cells import cell
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from mmkd.mixin import OUR_HOOKS

MIB = 2**20
NOISE = dict(memory=4 * MIB, tensors=5)


def held() -> dict[str, int]:
    """What the process has: memory, tensors, open files, threads, child processes."""
    gc.collect()
    me = Path('/proc/self')
    pages = int((me / 'statm').read_text().split()[1])
    tasks = list((me / 'task').iterdir())
    return dict(
        memory=pages * os.sysconf('SC_PAGE_SIZE'),
        tensors=sum(issubclass(type(o), Tensor) for o in gc.get_objects()),
        files=len(os.listdir(me / 'fd')),
        threads=len(tasks),
        children=sum(len((t / 'children').read_text().split()) for t in tasks),
    )


class Meter(Hook):
    """Measures a run ``times`` times, and looks for activations that outlive a step."""

    priority = 'LOWEST'

    def __init__(self, steps: int, times: int = 5) -> None:
        self.every = steps // times
        self.made: list[tuple[str, StorageWeakRef]] = []
        self.alive: set[str] = set()
        self.seen: list[dict[str, int]] = []

    def before_train(self, runner: Any) -> None:
        model = runner.model
        parts = {'student': model.student, 'terms': model.terms}
        parts.update({name: frozen.model for name, frozen in model.frozen.items()})
        parts.update({'self': model.teacher} if not model.frozen else {})
        for part, network in parts.items():
            for name, module in network.named_modules():
                if not list(module.children()):
                    module.register_forward_hook(self._note(f'{part}.{name}'))

    def _note(self, name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim > 1:
                self.made.append((name, StorageWeakRef(output.untyped_storage())))

        return hook

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        assert self.made
        self.alive |= {name for name, storage in self.made if not storage.expired()}
        self.made.clear()
        if self.every_n_train_iters(runner, self.every):
            self.seen.append(held())

    def grown(self) -> list[str]:
        """What there is more of at the end than after two fifths of the run."""
        begin, end = self.seen[len(self.seen) * 2 // 5], self.seen[-1]
        more = {name: end[name] - begin[name] for name in begin}
        return [name for name in more if more[name] > NOISE.get(name, 0)] + sorted(
            self.alive
        )


def tiny(stages: int = 1) -> dict[str, Any]:
    """A classifier of which a step takes a few milliseconds."""
    return dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(num_classes=5, mean=[127.0] * 3, std=[60.0] * 3),
        backbone=dict(
            type='mmkd.CifarResNet',
            depth=8,
            widths=(4, 4, 4, 8),
            out_indices=tuple(range(3 - stages, 3)),
        ),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=8),
    )


def offline() -> dict[str, Any]:
    terms = dict(
        loss_kd=dict(student='head.fc', loss=dict(type='mmkd.KD')),
        loss_cwt=dict(
            student='backbone',
            connector=dict(type='mmkd.CWT'),
            loss=dict(type='mmkd.MSE'),
            schedule=dict(kind='linear', end=10),
        ),
    )
    return dict(
        type='mmkd.Distiller',
        student=tiny(),
        teacher=tiny(),
        teacher_ckpt='random',
        terms=terms,
    )


def itself() -> dict[str, Any]:
    terms = dict(
        loss_kd=dict(student='head.fc', teacher='head', loss=dict(type='mmkd.KD')),
        loss_at=dict(
            student='backbone',
            teacher='pyramid',
            loss=dict(type='mmkd.AT'),
        ),
    )
    return dict(
        type='mmkd.SelfDistiller',
        student=tiny(3),
        teacher=dict(type='mmkd.FRSKDTeacher', width=1.0),
        teacher_reads='backbone',
        teacher_target='head.fc',
        terms=terms,
    )


def with_layers() -> dict[str, Any]:
    """letKD's layers and SAKD's branch, both with what is learned before left out."""
    letkd, sakd = cell('letkd', 'cls'), cell('sakd', 'cls')
    terms = {**letkd.terms, **sakd.terms}
    return {**letkd, 'terms': terms}


def train(folder: Path, model: dict[str, Any], steps: int, *hooks: Hook) -> Meter:
    """A run with all our hooks, which logs and saves."""
    meter = Meter(steps)
    runs.runner(
        'cls',
        folder,
        model=model,
        iters=steps,
        custom_hooks=[*(dict(type=hook) for hook in OUR_HOOKS), *hooks, meter],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=10),
            checkpoint=dict(
                type='CheckpointHook',
                interval=steps // 10,
                by_epoch=False,
                max_keep_ckpts=1,
            ),
        ),
    ).train()
    return meter


@pytest.mark.parametrize('model', [offline, itself, with_layers])
@pytest.mark.parametrize('steps', [50, pytest.param(2000, marks=pytest.mark.slow)])
def test_nothing_grows(model: Callable[[], Any], steps: int, tmp_path: Path):
    assert train(tmp_path, model(), steps).grown() == []


class Leak(Hook):
    """Keeps something of every step."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.kept: list[Any] = []
        self.end = threading.Event()

    def before_train(self, runner: Any) -> None:
        if self.what == 'student.head.fc':  # in C++ alone: no object of Python's
            runner.model.student.head.fc.register_forward_hook(
                lambda *args: self.kept.append(args[-1].untyped_storage())
            )

    def after_train_iter(self, *_: Any, **__: Any) -> None:
        if self.what == 'tensors':
            self.kept.append(torch.zeros(1))
        if self.what == 'memory':
            self.kept.append(mmap.mmap(-1, MIB))  # new to the process, unlike malloc's
            self.kept[-1].write(os.urandom(MIB))
        if self.what == 'files':
            self.kept.append(open(os.devnull))  # noqa: SIM115
        if self.what == 'threads':
            self.kept.append(threading.Thread(target=self.end.wait, daemon=True))
            self.kept[-1].start()
        if self.what == 'children':
            self.kept.append(os.fork() or os._exit(0))


@pytest.mark.parametrize(
    'what', ['tensors', 'memory', 'files', 'threads', 'children', 'student.head.fc']
)
def test_a_leak_is_seen(what: str, tmp_path: Path):
    leak = Leak(what)
    try:
        assert what in train(tmp_path, offline(), 50, leak).grown()
    finally:
        leak.end.set()
        for one in leak.kept:
            if what == 'children':
                os.waitpid(one, 0)
            if what == 'files':
                one.close()


def test_workers_end_with_their_epoch(tmp_path: Path):
    """The processes of a data loader, and what connects them."""

    class Count(Hook):
        seen: list[dict[str, int]] = []

        def before_train_epoch(self, runner: Any) -> None:
            self.seen.append(held())

    count = Count()
    loader = dict(
        batch_size=2,
        num_workers=1,
        persistent_workers=False,
        dataset=runs.Images('cls'),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='pseudo_collate'),
    )
    runs.runner(
        'cls',
        tmp_path,
        model=offline(),
        epochs=4,
        custom_hooks=[count],
        train_dataloader=loader,
    ).train()
    for name in ('files', 'threads', 'children'):
        assert count.seen[-1][name] <= count.seen[1][name], name
