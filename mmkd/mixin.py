"""distill(): any config of mmpretrain, mmdet or mmseg becomes a distillation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmkd.build import model_config, read_config

_HERE = Path(__file__).resolve().parent
# As in configs/_base_/runtime.py.
OUR_HOOKS = (
    'mmkd.SeedIterations',
    'mmkd.CheckCodebook',
    'mmkd.TrainPreludes',
    'mmkd.ExportStudent',
)


def distill(
    config: str | Path | Config,
    method: str | Path,
    teacher: str | Path | Mapping[str, Any] | None = None,
    teacher_ckpt: str | None = None,
    **settings: Any,
) -> Config:
    """Turn a config into one that distils its model; everything else in it stays.

    Args:
        config: A config or its file, or 'mmdet::…'.
        method: Name of a method ('kd', 'cwd', 'cwt'), or a config file with its terms.
        teacher: The teacher's config: a file, 'mmdet::…' or the model's dict.
        teacher_ckpt: The teacher's weights: a file or an address.
        **settings: Further arguments of the distiller, such as ``inherit``.

    Returns:
        The config for ``Runner.from_cfg``; the one given is left alone.

    Examples:
        >>> cfg = mmkd.distill('my_config.py', 'cwt', 'teacher.py', 'teacher.pth')
        >>> Runner.from_cfg(cfg).train()
    """
    config = read_config(config) if isinstance(config, (str, Path)) else config
    config = Config(config.to_dict(), filename=config.filename)
    student = config.get('model')
    if student is None:
        raise ValueError('The config has no model.')
    if is_distillation(config):
        raise ValueError(
            'The config is a distillation already: run it without a method.'
        )
    part = read_method(method, student)
    own = part.get('distiller', {})
    if 'teacher' in own and (teacher is not None or teacher_ckpt is not None):
        raise ValueError(f"The method '{method}' brings its own teacher: give none.")
    if 'student' in part:  # layers that the method puts into the student
        student = {**student, **part.student, 'of': student['type']}
    model = {'type': 'mmkd.Distiller', **own, 'student': student, 'terms': part.terms}
    if teacher is not None:
        model['teacher'] = model_config(teacher)
    if teacher_ckpt is not None:
        model['teacher_ckpt'] = str(teacher_ckpt)
    model.update(settings)
    config.model = ConfigDict(model)
    register(config)
    return config


def register(config: Config) -> None:
    """Let a config import mmkd and have its hooks."""
    imports = config.get('custom_imports') or dict(
        imports=[], allow_failed_imports=False
    )
    names = imports['imports']
    names = [names] if isinstance(names, str) else list(names)
    if 'mmkd' not in names:
        config.custom_imports = dict(imports, imports=[*names, 'mmkd'])
    hooks = list(config.get('custom_hooks') or [])
    there = [hook.get('type') for hook in hooks]
    config.custom_hooks = hooks + [
        ConfigDict(type=hook) for hook in OUR_HOOKS if hook not in there
    ]


def plain(config: Config) -> Config:
    """The config of the student alone, with its own recipe: neither teacher nor terms.

    A config that distils nothing comes back as it is.
    """
    if not is_distillation(config):
        return config
    config = Config(config.to_dict(), filename=config.filename)
    student = model_config(config.model.student)
    if config.get('data_preprocessor') is not None:
        student.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
    config.model = ConfigDict(student)
    config.custom_hooks = [
        hook
        for hook in config.get('custom_hooks') or []
        if not str(hook.get('type', '')).startswith('mmkd.')
    ]
    return config


def is_distillation(config: Config) -> bool:
    """Whether the config's model is one of mmkd's distillers."""
    model = config.get('model') or {}
    return str(model.get('type', '')).startswith('mmkd.') and 'student' in model


def methods_folder() -> Path:
    """Where the methods' fragments are: in the checkout or the installed package."""
    for root in (_HERE.parent, _HERE / '.mim'):
        folder = root / 'configs' / '_base_' / 'methods'
        if folder.is_dir():
            return folder
    raise FileNotFoundError('The configs of mmkd are missing: install it again.')


def list_methods() -> list[str]:
    """The names that ``method`` may have."""
    kinds = '|'.join(KINDS)
    stems = (file.stem for file in methods_folder().glob('*.py'))
    return sorted({re.sub(rf'_({kinds})$', '', stem) for stem in stems})


KINDS = ('cls', 'two_stage', 'one_stage', 'seg')


def kind_of(model: Mapping[str, Any]) -> str:
    """Which of ``KINDS`` a model's config describes, told by its parts."""
    for key, kind in (
        ('roi_head', 'two_stage'),
        ('decode_head', 'seg'),
        ('bbox_head', 'one_stage'),
        ('mask_head', 'one_stage'),
        ('head', 'cls'),
    ):
        if key in model:
            return kind
    raise ValueError(
        f"Cannot tell the task of a '{model.get('type')}', which has none of roi_head, "
        'decode_head, bbox_head, mask_head and head. Write a config with its terms.'
    )


def read_method(method: str | Path, student: Mapping[str, Any]) -> Config:
    """Read the fragment of a method that suits the student."""
    if str(method).endswith('.py'):
        file = Path(method)
    else:
        kind = kind_of(student)
        folder = methods_folder()
        file = folder / f'{method}_{kind}.py'
        if method not in list_methods():
            raise ValueError(f"No method '{method}'. There are: {list_methods()}")
        if not file.is_file():
            raise ValueError(f"The method '{method}' has no form for {kind} models.")
    part = read_config(file)
    if 'terms' not in part:
        raise ValueError(f"The method's file '{file}' has no 'terms'.")
    return part
