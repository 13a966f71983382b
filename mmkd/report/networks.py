"""The networks in the configs of runs, and whether two of them are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmkd.build import model_config
from mmkd.mixin import plain
from mmkd.report.runs import Run

_PATHS: tuple[str, ...] = (
    'work_dir',
    'resume',
    'load_from',
    'launcher',
    'experiment_name',
    'randomness',
)
# What says nothing of the network: how it is started, fed and judged.
_ASIDE: tuple[str, ...] = (
    'data_preprocessor',
    '_scope_',
    'init_cfg',
    'pretrained',
    '_delete_',
)
_ASIDE += ('train_cfg', 'test_cfg', 'metainfo')


def network(run: Run) -> dict[str, Any]:
    """The config of the student that a run leaves, as one dict."""
    config = plain(run.config)
    model = model_config(config.get('model') or {})
    for key in ('data_preprocessor', 'default_scope'):
        if config.get(key) is not None:
            name = '_scope_' if key == 'default_scope' else key
            model.setdefault(
                name, model_config(config[key]) if name == key else config[key]
            )
    return model


def teacher_network(run: Run) -> dict[str, Any] | None:
    """The config of the (first) frozen teacher; None if there is none to be read."""
    model = run.config.model
    teacher = model.get('teacher') if str(model.type).endswith('.Distiller') else None
    if model.get('teachers'):
        teacher = next(iter(model.teachers.values())).get('model')
    if not teacher:
        return None
    try:
        found = model_config(teacher)
    except (OSError, ValueError, ImportError):
        return None
    found.setdefault('_scope_', run.config.get('default_scope') or 'mmengine')
    return found


def teacher_file(run: Run) -> str | None:
    """The checkpoint of the (first) frozen teacher."""
    model = run.config.model
    if model.get('teachers'):
        return next(iter(model.teachers.values())).get('ckpt')  # type: ignore[no-any-return]
    return model.get('teacher_ckpt')  # type: ignore[no-any-return]


def identity(run: Run) -> str:
    """The config as text, without what may differ between repetitions."""
    config = {k: v for k, v in run.config.to_dict().items() if k not in _PATHS}
    model = dict(config.get('model') or {})
    model.pop('teacher_ckpt', None)
    if model.get('teachers'):
        model['teachers'] = {
            name: {k: v for k, v in teacher.items() if k != 'ckpt'}
            for name, teacher in model['teachers'].items()
        }
    return repr(_canonical({**config, 'model': model}, ()))


def _canonical(value: Any, without: Sequence[str]) -> Any:
    """A form in which equal configs are equal: sorted, tuples as lists, no scopes."""
    if isinstance(value, Mapping):
        kept = {k: _canonical(v, without) for k, v in value.items() if k not in without}
        if isinstance(kept.get('type'), str):
            kept['type'] = kept['type'].rpartition('.')[2]
        return dict(sorted(kept.items(), key=lambda item: str(item[0])))
    if isinstance(value, (list, tuple)):
        return [_canonical(item, without) for item in value]
    return value


def same_network(plain_one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    """Whether a plain network is the other; it may have more (what a method adds)."""
    if other is None:
        return False
    other = {**other, 'type': other.get('of', other.get('type'))}
    mine, theirs = (_canonical(x, _ASIDE) for x in (plain_one, other))
    return all(theirs.get(key) == value for key, value in mine.items())
