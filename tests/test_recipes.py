"""Every config has the numbers of its source, and every network its paper's recipe."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from recipes import LIGHT, REPDISTILLER, ROWS
from shipped import LEAVES, STUDENTS, arguments, has_teacher, plain, played, read
from torch import nn

from mmkd.build import build_model
from mmkd.networks.letkd import KDLayer


def training(config: Config) -> dict[str, Any]:
    """What a config says of optimizer, schedule and data."""
    wrapper = plain(config.optim_wrapper)
    schedulers = plain(config.param_scheduler)
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    steps = [s for s in schedulers if s['type'] == 'MultiStepLR']
    loader = plain(config.train_dataloader)
    norm = config.get('data_preprocessor') or config.model.student.data_preprocessor
    dataset = loader['dataset']
    dataset = dataset['datasets'][0] if 'datasets' in dataset else dataset
    aside = ('LoadImageFromFile', 'PackInputs')
    return dict(
        optimizer=wrapper['optimizer'],
        clip=wrapper.get('clip_grad'),
        accumulate=wrapper.get('accumulative_counts', 1),
        decay=(steps[0]['milestones'], steps[0].get('gamma', 0.1)) if steps else None,
        epochs=config.train_cfg.get('max_epochs'),
        batch=loader['batch_size'],
        drop_last=loader.get('drop_last', False),
        pipeline=[s for s in dataset['pipeline'] if s['type'] not in aside],
        mean=tuple(round(x / 255, 4) for x in norm['mean']),
        std=tuple(round(x / 255, 4) for x in norm['std']),
    )


def distilling(file: Path) -> dict[str, Any]:
    """A leaf's teacher, layers and terms, with defaults, and with modules for roles."""
    model = read(file).model
    found = {'own': model.get('own', {}).get('weight', 1.0)}
    found['inherit'] = model.get('inherit')
    found['augments'] = plain(model.student.get('train_cfg', {}).get('augments'))
    found['layers'] = plain(model.student.get('layers', {}))
    for name, layer in found['layers'].items():
        known = inspect.signature(KDLayer).parameters
        found['layers'][name] = {
            k: known[k].default for k in ('alpha', 'gains')
        } | layer
    if not has_teacher(file):
        found['reads'] = played(file, model.teacher_reads)
        found['self_teacher'] = dict(
            type=model.teacher.type, **arguments(model.teacher)
        )
    for name, term in model.terms.items():
        student = played(file, term.student)
        teacher = term.get('teacher', term.student)
        if has_teacher(file):
            teacher = played(model.teacher, teacher)
        found[name] = {
            **arguments(term.loss),
            **{k: plain(term[k]) for k in term if k != 'loss'},
            **dict(
                loss=term.loss.type.partition('.')[2], weight=term.get('weight', 1.0)
            ),
            **dict(student=plain(student), teacher=plain(teacher)),
        }
    return found


def disagreement(found: Any, wanted: Any, where: str = '') -> list[str]:
    """What is not as wanted; of dicts only the keys that are wanted count."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            text
            for key in wanted
            for text in disagreement(found.get(key), wanted[key], f'{where}.{key}')
        ]
    same = plain(found) == plain(wanted)  # a tuple is like a list
    return [] if same else [f'{where}: {found}, not {wanted}']


def test_every_leaf_has_a_row() -> None:
    assert {file.stem for file in LEAVES} == set(ROWS)


@pytest.mark.parametrize('file', LEAVES, ids=lambda file: file.stem)
def test_numbers_are_the_sources(file: Path) -> None:
    row = ROWS[file.stem]
    found = {**training(read(file)), **distilling(file)}
    terms = {key for key in row if key.startswith('loss_')}
    assert terms == set(read(file).model.terms)
    assert not disagreement(found, row)


@pytest.mark.parametrize(
    'file',
    [file for file in STUDENTS if file.stem.endswith('_1xb64_cifar100')],
    ids=lambda file: file.stem,
)
def test_a_network_of_repdistiller_trains_as_there(file: Path) -> None:
    light = file.stem.startswith(('mobilenet', 'shufflenet'))
    assert not disagreement(training(read(file)), LIGHT if light else REPDISTILLER)


@pytest.mark.parametrize('data', ['cifar100', 'tinyimagenet-32x32'])
def test_frskds_resnet_starts_as_torch_has_it(data: str) -> None:
    """models/resnet.py: CIFAR_ResNet has no initialisation of its own."""
    (file,) = (f for f in STUDENTS if f.stem == f'resnet18_1xb128_{data}')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = build_model(read(file).model, 'student')
    model.init_weights()
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for layer in (layers[0], layers[5], layers[-2], layers[-1]):
        fan = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx((3 * fan) ** -0.5, rel=0.05)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() for norm in norms)
