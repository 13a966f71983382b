"""A model from a dict, a config file or 'mmdet::…'; and what belongs to it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.runner import Runner
from torch import nn

from mmkd.arguments import naming
from mmkd.registry import TASK_UTILS, make

_PACKAGES = {'mmpretrain': 'mmpretrain', 'mmdet': 'mmdet', 'mmseg': 'mmsegmentation'}
ModelConfig = Mapping[str, Any]

try:
    distribution(MODULE2PACKAGE['mmseg'])
except (
    PackageNotFoundError
):  # the fork's distribution has another name: _base_ finds it
    MODULE2PACKAGE['mmseg'] = 'mmseg'


def read_config(path: str | Path, needs: str | None = None) -> Config:
    """Read a config file, or 'mmdet::…' from an installed package.

    Args:
        path: The file.
        needs: A key that must be there, with a dict.
    """
    file = find_config(str(path))
    with naming(f"The config '{path}' cannot be read"):
        config = Config.fromfile(str(file))
    if needs and not isinstance(config.get(needs), Mapping):
        raise ValueError(f"The config '{path}' has no '{needs}'.")
    return config


def find_config(path: str) -> Path:
    """The file of a config, or of one in an installed package."""
    if '::' not in path:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"There is no config file '{path}'. Give a path; or, for one that an "
                "installed package brings, 'mmdet::retinanet/retinanet_r50_….py'."
            )
        return Path(path)
    package, _, name = path.partition('::')
    try:
        module = __import__(package)
    except ImportError as error:
        raise ImportError(
            f"'{path}' needs the package {_PACKAGES.get(package, package)}: {error}. "
            "pip install 'mmkd[openmmlab]' (or 'mmkd[onedl]') brings all three."
        ) from error
    file = Path(str(module.__file__)).parent / '.mim' / 'configs' / name
    if not file.is_file():
        raise FileNotFoundError(
            f"{package} has no config '{name}' (looked for {file})."
        )
    return file


def carried(name: str) -> Path:
    """The folder 'configs' or 'tools': of the checkout, or in the installed package."""
    here = Path(__file__).resolve().parent
    for root in (here / '.mim', here.parent):  # others' may lie beside an installed one
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f'The {name} of mmkd are missing: install it again.')


def model_config(model: str | Path | ModelConfig) -> dict[str, Any]:
    """Return a model's config as one dict that stands on its own.

    A file's default scope and its top-level data preprocessor (as in mmpretrain) go
    into the dict.
    """
    if isinstance(model, Mapping):
        return copy.deepcopy(dict(model))
    file = read_config(model, 'model')
    config: dict[str, Any] = file.model.to_dict()
    if file.get('data_preprocessor') is not None:
        config.setdefault('data_preprocessor', file.data_preprocessor.to_dict())
    if file.get('default_scope') is not None:
        config.setdefault('_scope_', file.default_scope)
    return config


def build_model(model: str | Path | ModelConfig | nn.Module, what: str) -> nn.Module:
    """Build a model from its config (or take one that is built)."""
    if isinstance(model, nn.Module):
        return model
    config = ConfigDict(model_config(model))  # mmdet reads train_cfg.rpn
    if str(config.get('type', '')).startswith('mmkd.') and 'student' in config:
        name = model if isinstance(model, (str, Path)) else config['type']
        raise ValueError(
            f"The {what} '{name}' is itself a distillation config: give its student."
        )
    with naming(f'The {what} cannot be built (type {config.get("type")!r})'):
        try:
            built: nn.Module = ROOT_MODELS.build(config)
        except KeyError as error:
            scope = config.get('_scope_') or str(config.get('type')).partition('.')[0]
            if scope in _PACKAGES and not _importable(scope):
                raise ImportError(
                    f'it is a model of {scope}, which is not installed or does not '
                    f'import: pip install {_PACKAGES[scope]}'
                ) from error
            raise
    return built


def _importable(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def find_task(student: nn.Module, config: Mapping[str, Any] | None = None) -> Any:
    """The adapter for a student: the configured one, or the one of its package."""
    if config is not None:
        return make('task', config, TASK_UTILS)
    TASK_UTILS.import_from_location()
    for base in type(student).__mro__:  # most specific first; mmengine's comes last
        package = base.__module__.partition('.')[0]
        for adapter in TASK_UTILS.module_dict.values():
            if adapter.package == package:
                return adapter()
    raise ValueError(
        f'{type(student).__name__} is no model of mmpretrain, mmdet, mmseg or mmengine.'
        " Give the adapter, as in task=dict(type='mmkd.Task')."
    )


def model_of(runner: Runner) -> Any:
    """The model that a runner trains, taken out of DDP."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def build_runner(config: Config) -> Runner:
    """A Runner, of the kind that the config asks for."""
    if 'runner_type' in config:
        from mmengine.registry import RUNNERS

        runner: Runner = RUNNERS.build(config)
        return runner
    return Runner.from_cfg(config)
