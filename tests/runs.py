"""Real Runners over a few made-up images."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
import zoo
from mmengine.runner import Runner
from torch.utils.data import Dataset

SCOPES = {'cls': 'mmpretrain', 'cifar': 'mmpretrain', 'pspnet': 'mmseg'}


class Images(Dataset):
    """Eight items of a kind, always the same."""

    metainfo = dict(classes=[str(i) for i in range(zoo.CLASSES)])

    def __init__(self, kind: str) -> None:
        data = [zoo.batch(kind, seed=i, count=1) for i in range(8)]
        self.items = [{key: value[0] for key, value in item.items()} for item in data]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def model_config(kind: str, **settings: Any) -> dict[str, Any]:
    """The config of a distiller, as in a config file."""
    config = dict(
        type='mmkd.Distiller',
        student=zoo.student(kind),
        teacher=zoo.student(kind, width=8),
        teacher_ckpt='random',
        terms=zoo.TERMS[kind],
    )
    return {**config, **settings}


def runner(
    kind: str,
    work_dir: Path,
    model: dict[str, Any] | None = None,
    epochs: int | None = None,
    iters: int | None = None,
    **settings: Any,
) -> Runner:
    """A Runner of ``epochs`` epochs or ``iters`` iterations of four items."""
    torch.manual_seed(0)
    loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
    loader['collate_fn'] = dict(type='pseudo_collate')
    by_epoch = iters is None
    train = dict(by_epoch=by_epoch)
    if by_epoch:
        train.update(max_epochs=epochs)
        sampler: dict[str, Any] = dict(type='DefaultSampler', shuffle=True)
    else:
        train.update(max_iters=iters)
        sampler = dict(type='InfiniteSampler', shuffle=True)
    config: dict[str, Any] = dict(
        model=model or model_config(kind),
        work_dir=str(work_dir),
        train_dataloader=dict(loader, dataset=Images(kind), sampler=sampler),
        train_cfg=train,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=by_epoch),
        ),
        log_processor=dict(by_epoch=by_epoch, window_size=1),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        log_level='WARNING',
        randomness=dict(seed=0),
        default_scope=SCOPES.get(kind, 'mmdet'),
        experiment_name=f'{work_dir.name}_{id(object())}',
    )
    return Runner(**{**config, **settings})


def validation(kind: str) -> dict[str, Any]:
    """The stock validation loop of a classifier."""
    loader = dict(
        batch_size=2,
        num_workers=0,
        dataset=Images(kind),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )
    return dict(
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=dict(type='Accuracy'),
    )


def logged(work_dir: Path) -> dict[int, dict[str, float]]:
    """Step -> what was logged of losses and terms; a later entry wins."""
    found: dict[int, dict[str, float]] = {}
    for file in sorted(work_dir.glob('**/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                found[entry['step']] = {
                    key: value
                    for key, value in entry.items()
                    if 'loss' in key or key.startswith('raw_')
                }
    return found


def free_port() -> str:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return str(s.getsockname()[1])


def on_two_ranks(work: Callable[..., None], folder: Path, *args: Any) -> None:
    """Call ``work(rank, folder, *args)`` in two processes that are a group."""
    os.environ['PYTHONPATH'] = os.pathsep.join(sys.path)
    mp.spawn(_one_of_two, (work, free_port(), folder, args), nprocs=2)


def _one_of_two(
    rank: int, work: Callable[..., None], port: str, folder: Path, args: tuple[Any, ...]
) -> None:
    import mmkd  # noqa: F401

    join(rank, port)
    work(rank, folder, *args)
    # They leave together, and without taking gloo down: that hangs now and then.
    (folder / f'rank_{rank}.done').touch()
    while not (folder / f'rank_{1 - rank}.done').is_file():
        time.sleep(0.05)
    os._exit(0)


def join(rank: int, port: str) -> None:
    """Be one of two processes, as torchrun would have it."""
    torch.set_num_threads(1)
    os.environ.update(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=port,
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
    )
    torch.distributed.init_process_group('gloo')
