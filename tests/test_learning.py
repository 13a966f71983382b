"""Every method, as its fragment has it, teaches a small network to read digits."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmkd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'demo'))
from data import prepare  # noqa: E402

EPOCHS = 10


def network(width: int) -> dict[str, Any]:
    """ResNet-18 with maps of 16, 8, 4 and 4 pixels."""
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet_CIFAR',
            depth=18,
            stem_channels=width,
            base_channels=width,
            strides=(2, 2, 2, 1),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=10,
            in_channels=8 * width,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


def plain(folder: Path, width: int) -> Config:
    """The config of a network alone."""

    def loader(split: str, size: int, *steps: dict[str, Any]) -> dict[str, Any]:
        pipeline = [dict(type='LoadImageFromFile'), *steps, dict(type='PackInputs')]
        return dict(
            batch_size=size,
            num_workers=0,
            persistent_workers=False,
            sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
            collate_fn=dict(type='default_collate'),
            dataset=dict(
                type='CustomDataset',
                data_root=str(folder / 'data' / 'cls'),
                data_prefix=split,
                pipeline=pipeline,
            ),
        )

    crop = dict(type='RandomCrop', crop_size=32, padding=3, padding_mode='edge')
    settings = dict(
        default_scope='mmpretrain',
        model=network(width),
        data_preprocessor=dict(num_classes=10, mean=[76.5] * 3, std=[63.75] * 3),
        train_dataloader=loader('train', 20, crop),
        val_dataloader=loader('val', 200),
        train_cfg=dict(by_epoch=True, max_epochs=EPOCHS, val_interval=EPOCHS),
        val_cfg=dict(),
        val_evaluator=dict(type='Accuracy'),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.01)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.05, end=2, convert_to_iter_based=True),
            dict(
                type='CosineAnnealingLR',
                begin=2,
                end=EPOCHS,
                T_max=EPOCHS - 2,
                convert_to_iter_based=True,
            ),
        ],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=EPOCHS),
        ),
        log_processor=dict(window_size=1),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        log_level='WARNING',
        randomness=dict(seed=0),
    )
    return Config(settings)


def accuracy(config: Config, folder: Path) -> float:
    """Train it to its end."""
    config.work_dir = str(folder)
    config.experiment_name = f'{folder.name}_{id(config)}'
    runner = Runner.from_cfg(config)
    runner.train()
    return float(runner.message_hub.get_scalar('val/accuracy/top1').current())


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images, and a teacher of them."""
    made = tmp_path_factory.mktemp('learning')
    prepare(made / 'data')
    torch.set_num_threads(1)
    assert accuracy(plain(made, 12), made / 'teacher') > 70
    return made


def codebook(folder: Path) -> str:
    """Of the teacher, for letKD."""
    file = folder / 'codebook.pth'
    config = plain(folder, 12)
    config.dump(folder / 'teacher.py')
    tool = runpy.run_path(str(ROOT / 'tools' / 'build_codebook.py'))
    arguments = [
        folder / 'teacher.py',
        file,
        '--checkpoint',
        folder / f'teacher/epoch_{EPOCHS}.pth',
    ]
    arguments += ['--intermediate', 'backbone.layer4.0', '--templates', 64]
    arguments += ['--workers', 0, '--device', 'cpu']
    tool['main']([str(argument) for argument in arguments])
    return str(file)


# What falls, and to what share of where it was at first.
FALLS = {
    'kd': {'raw_kd': 0.5},
    'cwd': {'raw_cwd': 0.5},
    'cwt': {'raw_cwt': 0.5},
    'sakd': {'raw_match': 0.5, 'raw_branch': 0.3},
    # Student and self-teacher know nothing at first, and agree on that: loss_kd rises.
    'frskd': {'raw_at': 0.6, 'teacher_loss': 0.7},
    'letkd': {'raw_intermediate': 0.8, 'raw_penultimate': 0.7},
}
STEPS = 30  # in an epoch


@pytest.mark.slow
@pytest.mark.parametrize('method', FALLS)
def test_learning(method: str, folder: Path) -> None:
    """The method's own loss falls clearly; the student beats chance, which is 10 %."""
    teacher = network(12), str(folder / 'teacher' / f'epoch_{EPOCHS}.pth')
    given = () if method == 'frskd' else teacher
    config = mmkd.distill(plain(folder, 8), method, *given)
    model = config.model
    if method == 'letkd':
        model.student.layers.intermediate.templates = 80
        model.student.layers.penultimate.templates = 64
        book = codebook(folder)
        for term in model.terms.values():
            term.loss.codebook = book
    assert accuracy(config, folder / method) > 40
    log = runs.logged(folder / method)
    steps = sorted(log)
    assert len(steps) == EPOCHS * STEPS
    for key, share in FALLS[method].items():
        first, last = (
            sum(log[step][key] for step in part) / STEPS
            for part in (steps[:STEPS], steps[-STEPS:])
        )
        assert last < share * first, f'{key}: {first} -> {last}'
