"""distill(): any config of mmpretrain, mmdet or mmseg becomes a distillation."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmkd.build import carried, model_config, read_config

# As in configs/_base_/runtime.py.
OUR_HOOKS = (
    'mmkd.SeedIterations',
    'mmkd.CheckData',
    'mmkd.DescribeStudent',
    'mmkd.TrainPreludes',
    'mmkd.ExportStudent',
)


def distill(
    config: str | Path | Config,
    method: str | Path,
    teacher: str | Path | Mapping[str, Any] | None = None,
    teacher_ckpt: str | None = None,
    kind: str | None = None,
    pair: str | None = None,
    **settings: Any,
) -> Config:
    """Turn a config into one that distils its model; everything else in it stays.

    Args:
        config: A config or its file, or 'mmdet::…'.
        method: Name of a method ('kd', 'cwd', 'cwt'), or a config file with its terms.
        teacher: The teacher's config: a file, 'mmdet::…' or the model's dict.
        teacher_ckpt: The teacher's weights: a file or an address.
        kind: Which form of the method (see :data:`KINDS`). None: by the model.
        pair: One of the pairs for which the method's paper tunes numbers of its own:
            'resnet32x4_resnet8x4'.
        **settings: Further arguments of the distiller, such as ``inherit``.

    Returns:
        The config for ``Runner.from_cfg``; the one given is left alone.

    Examples:
        >>> cfg = mmkd.distill('my_config.py', 'cwt', 'teacher.py', 'teacher.pth')
        >>> Runner.from_cfg(cfg).train()
    """
    config = read_config(config) if isinstance(config, (str, Path)) else config
    config = Config(config.to_dict(), filename=config.filename)
    student = _student_of(config)
    part = read_method(method, [kind] if kind else kinds_of(config), pair)
    given = _given_teacher(teacher, teacher_ckpt)
    if 'teacher' in part and given:
        raise ValueError(f"The method '{method}' brings its own teacher: give none.")
    hooks = part.pop('hooks', [])
    changes = part.pop('student', None)  # layers that the method puts into the student
    if changes is not None:
        student = {**student, **changes, 'of': student['type']}
    model = {'type': 'mmkd.Distiller', 'student': student, **part, **given, **settings}
    config.model = ConfigDict(model)
    register(config, hooks)
    return config


def _student_of(config: Config) -> Any:
    """The model that a config trains; raise if it is none that can be taught."""
    student = config.get('model')
    if student is None:
        raise ValueError('The config has no model.')
    if is_distillation(config):
        raise ValueError(
            'The config is a distillation already: run it without a method.'
        )
    return student


def _given_teacher(
    teacher: str | Path | Mapping[str, Any] | None, teacher_ckpt: str | None
) -> dict[str, Any]:
    """The distiller's arguments that say who teaches, as far as they are given."""
    given: dict[str, Any] = {}
    if teacher is not None:
        given['teacher'] = model_config(teacher)
    if teacher_ckpt is not None:
        given['teacher_ckpt'] = str(teacher_ckpt)
    return given


def register(config: Config, more: Sequence[Mapping[str, Any]] = ()) -> None:
    """Let a config import mmkd and have its hooks, and those of a method."""
    imports = config.get('custom_imports') or dict(
        imports=[], allow_failed_imports=False
    )
    names = imports['imports']
    names = [names] if isinstance(names, str) else list(names)
    if 'mmkd' not in names:
        config.custom_imports = dict(imports, imports=[*names, 'mmkd'])
    hooks = list(config.get('custom_hooks') or [])
    there = [hook.get('type') for hook in hooks]
    ours = [*(dict(type=hook) for hook in OUR_HOOKS), *more]
    config.custom_hooks = hooks + [
        ConfigDict(hook) for hook in ours if hook['type'] not in there
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
    return carried('configs') / '_base_' / 'methods'


def list_methods() -> list[str]:
    """The names that ``method`` may have."""
    return sorted(file.stem for file in methods_folder().glob('[a-z]*.py'))


# The forms that a method may have. 'cifar' is classification of small images, for which
# papers have other numbers, and often other networks.
KINDS = ('cls', 'cifar', 'two_stage', 'one_stage', 'seg')
SMALL_IMAGES = ('CIFAR10', 'CIFAR100', 'CINIC10', 'TinyImageNet')


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


def kinds_of(config: Config) -> list[str]:
    """The kinds that suit a config, the best one first."""
    kind = kind_of(config.model)
    dataset: Any = (config.get('train_dataloader') or {}).get('dataset')
    while isinstance(dataset, Mapping) and isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset['dataset']  # of a RepeatDataset and the like
    name = str((dataset or {}).get('type', '')).rpartition('.')[2]
    return ['cifar', 'cls'] if kind == 'cls' and name in SMALL_IMAGES else [kind]


def read_method(
    method: str | Path,
    kinds: Sequence[str],
    pair: str | None = None,
) -> dict[str, Any]:
    """The distiller's arguments that a method needs for a kind of model.

    Args:
        method: Its name, or a file of the same form: one with ``terms``, or one with a
            dict for each kind.
        kinds: The forms that suit (see :func:`kinds_of`); the first that it has counts.
        pair: A pair for which the file has numbers of its own.
    """
    own = str(method).endswith('.py')
    if not own and method not in list_methods():
        close = difflib.get_close_matches(str(method), list_methods(), n=2)
        hint = f'Did you mean {" or ".join(close)}? ' if close else ''
        raise ValueError(f"No method '{method}'. {hint}There are: {list_methods()}")
    file = Path(method) if own else methods_folder() / f'{method}.py'
    content = read_config(file)
    forms = [name for name in KINDS if name in content]
    if not forms:
        if 'terms' not in content:
            raise ValueError(f"The method's file '{file}' has no 'terms'.")
        return _of_old_form(content)
    found = next((name for name in kinds if name in forms), None)
    if found is None:
        raise ValueError(
            f"The method '{method}' has no form for {kinds[0]} models, only for "
            f'{", ".join(forms)}. Its terms can stand in a config of your own, with '
            'the paths of your model.'
        )
    part: dict[str, Any] = content[found].to_dict()
    pairs: Any = content.get('pairs') or {}
    if pair is not None:
        if pair not in pairs:
            raise ValueError(
                f"'{method}' has no numbers for the pair '{pair}'; there are "
                f'{sorted(pairs) or "none"}.'
            )
        whole = Config(part)
        whole.merge_from_dict(dict(pairs[pair]))
        part = whole.to_dict()
    return part


def describe(method: str) -> dict[str, Any]:
    """What a method's file says of it: its name, its paper, its group, its kinds."""
    content = read_config(methods_folder() / f'{method}.py')
    found: dict[str, Any] = content.method.to_dict()
    return {**found, 'kinds': [kind for kind in KINDS if kind in content]}


def _of_old_form(content: Config) -> dict[str, Any]:
    """A file that has ``terms``, and perhaps other arguments, at its top."""
    part: dict[str, Any] = content.to_dict()
    return {**part.pop('distiller', {}), **part}
