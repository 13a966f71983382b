"""The registries of mmkd: children of mmengine's, under the scope ``mmkd``.

Configs write ``type='mmkd.Name'``: under the student's default scope (``mmdet``, …) a
bare name is not found.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import Registry

# Distillers, connectors, losses and networks.
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmkd',
    locations=[
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
