"""ExportStudent: a plain student file beside every last and best checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from mmkd.checkpoints.read import read_checkpoint
from mmkd.checkpoints.whole import save
from mmkd.registry import HOOKS

PREFIX = 'student.'


@HOOKS.register_module()
class ExportStudent(Hook):  # type: ignore[misc]
    """Write ``student_last.pth`` and ``student_best_….pth`` at every save.

    They load with ``strict=True`` into the plain student's config. Where there are EMA
    weights, mmengine saves those as the checkpoint's weights, so they are what is
    exported.
    """

    priority = 'LOWEST'  # after mmengine's CheckpointHook

    def __init__(self) -> None:
        self.done: dict[str, str] = {}

    @master_only  # type: ignore
    def _export(self, runner: Runner) -> None:
        info = runner.message_hub.runtime_info
        saves = [
            key for key in info if key == 'last_ckpt' or key.startswith('best_ckpt')
        ]
        for key in saves:
            source = info[key]
            if not source or self.done.get(key) == source or not Path(source).is_file():
                continue
            name = 'last' if key == 'last_ckpt' else 'best' + key[len('best_ckpt') :]
            target = Path(runner.work_dir) / f'student_{name}.pth'
            content, _ = read_checkpoint(source)
            write(student_checkpoint(content, source), target)
            self.done[key] = source

    def after_train_epoch(self, runner: Runner) -> None:
        """Export what an epoch-based checkpoint hook has just saved."""
        self._export(runner)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Export what an iteration-based checkpoint hook has just saved."""
        self._export(runner)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Export a new best checkpoint."""
        self._export(runner)

    def after_train(self, runner: Runner) -> None:
        """Export what was saved at the end."""
        self._export(runner)


def student_checkpoint(content: Any, where: str | Path) -> dict[str, Any]:
    """The plain student's checkpoint from a distiller's."""
    weights = content.get('state_dict', content) if isinstance(content, dict) else {}
    student = {
        key[len(PREFIX) :]: value
        for key, value in weights.items()
        if key.startswith(PREFIX)
    }
    if not student:
        raise ValueError(
            f"'{where}' holds no 'student.…' weights: it is not a distiller's "
            'checkpoint (or it is an exported student already).'
        )
    meta = content.get('meta', {})
    kept = {key: meta[key] for key in ('dataset_meta', 'epoch', 'iter') if key in meta}
    return {'state_dict': student, 'meta': kept}


def write(content: Any, target: Path) -> None:
    """Save so that the file is either whole or not there."""
    save(content, target)
    print_log(f'Student exported to {target}', 'current')


def load_strictly(
    model: nn.Module, weights: Mapping[str, Any], where: str | Path
) -> None:
    """Load all of ``weights`` into all of ``model``; raise if anything is left over.

    Args:
        model: The plain student.
        weights: Its state dict.
        where: The file they are from, for the message.
    """
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        lines = str(error).splitlines()
        shown = '\n'.join(line[:400] for line in lines[1:5])
        raise RuntimeError(
            f"'{where}' is not a checkpoint of this model:\n{shown}"
        ) from error
