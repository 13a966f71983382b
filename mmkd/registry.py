"""The registries of mmkd: children of mmengine's, under the scope ``mmkd``.

Configs write ``type='mmkd.Name'``: under the student's default scope (``mmdet``, …) a
bare name is not found. :func:`make` builds from them with errors that say where a
config is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import Registry

from mmkd.arguments import check_arguments, naming

# Distillers, connectors, losses and networks.
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmkd',
    locations=[
        'mmkd.backbones',
        'mmkd.connectors',
        'mmkd.distillers',
        'mmkd.losses',
        'mmkd.networks',
    ],
)
# What runs beside training: the export of the student.
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='mmkd', locations=['mmkd.hooks'])
# One adapter per task (see mmkd/tasks/base.py for what an adapter offers).
TASK_UTILS = Registry(
    'task util', parent=MMENGINE_TASK_UTILS, scope='mmkd', locations=['mmkd.tasks']
)
# What the papers train on and the mm packages cannot read; views that come again.
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope='mmkd', locations=['mmkd.datasets']
)
# Which view of an image an epoch shows.
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope='mmkd',
    locations=['mmkd.datasets'],
)


def make(where: str, config: Any, registry: Registry = MODELS, **given: Any) -> Any:
    """Build what a config describes, or raise an error that begins with ``where``.

    Args:
        where: The config's place: 'terms.loss_kd.loss'.
        config: Its ``type``, and arguments, which are checked against the signature.
        registry: Where the type is looked up.
        **given: Arguments that come from elsewhere.
    """
    name = config.get('type') if isinstance(config, Mapping) else None
    if not name or not (isinstance(name, str) or callable(name)):
        wanted = "a dict with a type, such as dict(type='mmkd.…')"
        raise ValueError(f'{where}: {config!r} is not {wanted}.')
    kind = find(where, config, registry)
    own = {k: v for k, v in config.items() if k not in ('type', '_scope_')}
    check_arguments(where, own, kind, given)
    with naming(where):
        return registry.build({**config, **given})


def find(where: str, config: Mapping[str, Any], registry: Registry) -> Any:
    """The class or function that a config's ``type`` names."""
    name = config['type']
    if not isinstance(name, str):
        return name
    scope = registry.switch_scope_and_registry(config.get('_scope_'))
    with naming(f"{where}.type '{name}'"), scope as own:
        found = own.get(name)
    if found is None:
        registry.import_from_location()
        known = [f'{registry.scope}.{key}' for key in registry.module_dict]
        close = difflib.get_close_matches(name, known, n=2)
        hint = f'did you mean {" or ".join(close)}?' if close else f'ours: {known}'
        raise ValueError(f"{where}: there is no type '{name}'; {hint}")
    return found
