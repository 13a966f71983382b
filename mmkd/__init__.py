"""mmkd: knowledge distillation for OpenMMLab.

Importing it registers everything under the scope ``mmkd``. It makes mmengine read
checkpoint files without running code from them (:mod:`mmkd.checkpoints`) and write
them so that they are whole (:mod:`mmkd.hooks.checkpoints`).
"""

try:
    import mmengine  # noqa: F401
except ImportError as error:
    raise ImportError(
        "mmkd needs mmengine. In a fresh environment: pip install 'mmkd[openmmlab]' "
        "(the official packages) or 'mmkd[onedl]' (their maintained forks)."
    ) from error

from mmkd.checkpoints.for_mmengine import read_for_mmengine, register_safe_reader
from mmkd.checkpoints.whole import register_safe_writer
from mmkd.hooks.checkpoints import register_checkpoint_hook
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
register_safe_writer()
register_checkpoint_hook()
