"""The configs that ship: read once, taken apart, and built without numbers."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.config import utils as metafiles
from torch import nn

from mmkd.build import build_model, model_config, read_config
from mmkd.mixin import kind_of
from mmkd.paths import play
from mmkd.registry import MODELS
from mmkd.tasks import ClassificationTask, DetectionTask, SegmentationTask, Task

CONFIGS = Path(__file__).parents[1] / 'configs'
# configs/demo trains on data that it makes itself: it has tests of its own.
LEAVES = sorted(
    file
    for file in CONFIGS.rglob('*.py')
    if file.relative_to(CONFIGS).parts[0] not in ('_base_', 'demo')
)
FRAGMENTS = sorted((CONFIGS / '_base_' / 'methods').glob('*.py'))
STUDENTS = sorted((CONFIGS / '_base_' / 'students').glob('*.py'))
RUNTIME = CONFIGS / '_base_' / 'runtime.py'
TASKS: dict[str, type[Task]] = {
    'cls': ClassificationTask,
    'one_stage': DetectionTask,
    'two_stage': DetectionTask,
    'seg': SegmentationTask,
}
# mmengine reads every metafile of a package anew for each base that is upstream's.
metafiles.load = cache(metafiles.load)


@cache
def read(file: Path | str) -> Config:
    """A config, which most tests look at; not to be changed."""
    return read_config(file)


def bases(file: Path) -> list[str]:
    """What the file's ``_base_`` says."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            value = ast.literal_eval(node.value)
            return [value] if isinstance(value, str) else value
    return []


def own_bases(file: Path) -> list[Path]:
    """The file's bases in this repository."""
    return [(file.parent / base).resolve() for base in bases(file) if '::' not in base]


def plain(value: Any) -> Any:
    """Without the scopes that mmengine notes in what comes from another package."""
    if isinstance(value, Config):
        value = value.to_dict()
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in value if key != '_scope_'}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a config's type as they are used, defaults included."""
    cls = MODELS.get(config['type'])
    known = inspect.signature(cls.__init__).parameters.values()
    given = {p.name: p.default for p in known if p.default is not p.empty}
    return {**given, **plain({k: config[k] for k in config if k != 'type'})}


def has_teacher(file: Path) -> bool:
    """Whether there is a trained teacher, with a checkpoint."""
    return read(file).model.type == 'mmkd.Distiller'


def upstream(file: Path) -> str | None:
    """The recipe that it builds on: 'mmdet::…'; None if model and data are ours."""
    first = next(iter(bases(file)), None)
    if first is None or '::_base_/' in first:
        return None
    return first if '::' in first else upstream(file.parent / first)


def offline(file: Path) -> Config:
    """A leaf that wants no files, with the terms on that it has off."""
    config = copy.deepcopy(read(file))
    model, student = config.model, config.model.student
    if has_teacher(file):
        model.teacher_ckpt = 'random'
    for term in model.terms.values():
        term.pop('schedule', None)
        for key in ('codebook', 'recipe'):
            if key in term.loss:
                term.loss[key] = 'random'
        term.weight = term.get('weight', 1.0) or 1.0
    student.backbone.init_cfg = None
    student.pop('pretrained', None)
    if config.default_scope == 'mmseg':
        student.data_preprocessor.size = (64, 64)
    if config.get('data_preprocessor') is not None:  # as the Runner does
        model.setdefault('data_preprocessor', config.data_preprocessor)
    return config


@contextmanager
def without_numbers() -> Iterator[None]:
    """What is built has shapes alone, and takes neither time nor memory."""
    linspace = partial(torch.linspace, device='cpu')  # some take numbers out of it
    with (
        torch.device('meta'),
        patch('torch.linspace', linspace),
        patch('mmkd.teacher.renormalize._numbers', lambda tensor: (0.0,)),
    ):
        yield


def skeleton(model: Any) -> nn.Module:
    """A model of a config or a file, with shapes and no numbers."""
    config = model_config(model)
    config.pop('pretrained', None)
    with without_numbers():
        return build_model(config, 'model').eval()


@cache
def roles(file: Path | str, role: str) -> Any:
    """What plays a role in the model of a file: of a recipe, or of a leaf's student."""
    config = read(file)
    model = dict(config.model.get('student', config.model))
    model.setdefault('_scope_', config.get('default_scope'))
    return TASKS[kind_of(model)]().roles(skeleton(model), role)


def played(file: Path | str, paths: Any) -> Any:
    """Paths, with the modules for their roles; one alone is no list."""
    paths = [paths] if isinstance(paths, str) else paths
    found = [one for path in paths for one in play(path, partial(roles, file))]
    return found[0] if len(found) == 1 else found
