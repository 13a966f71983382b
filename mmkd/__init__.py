"""mmkd: knowledge distillation for OpenMMLab.

Importing it registers everything under the scope ``mmkd`` and makes mmengine read
checkpoint files without running code from them (see :mod:`mmkd.checkpoint`).
"""

try:
    import mmengine  # noqa: F401
except ImportError as error:
    raise ImportError(
        "mmkd needs mmengine. In a fresh environment: pip install 'mmkd[openmmlab]' "
        "(the official packages) or 'mmkd[onedl]' (their maintained forks)."
    ) from error

from mmkd.checkpoint import read_for_mmengine, register_safe_reader
from mmkd.mixin import distill
from mmkd.registry import DATASETS, HOOKS, MODELS, TASK_UTILS

__version__ = '0.1.0'
__all__ = [
    'DATASETS',
    'HOOKS',
    'MODELS',
    'TASK_UTILS',
    'distill',
    'read_for_mmengine',
]

register_safe_reader()
