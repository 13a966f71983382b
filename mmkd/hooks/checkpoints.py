"""CheckpointHook: a killed run loses neither its last checkpoint nor its best one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook as UpstreamHook
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmkd.build import model_of
from mmkd.checkpoints.broken import check_weights
from mmkd.checkpoints.whole import is_whole
from mmkd.registry import HOOKS


class Waiting:
    """A file backend that deletes nothing before it is told to.

    Args:
        backend: The one that is asked for everything else.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.files: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, file: str) -> None:
        """Remember it."""
        self.files.append(file)

    rmtree = remove

    def delete(self) -> None:
        """Delete what is remembered, if it is still there."""
        for file in self.files:
            if self.backend.isfile(file):
                self.backend.remove(file)
            elif self.backend.isdir(file):
                self.backend.rmtree(file)


@HOOKS.register_module()
class CheckpointHook(UpstreamHook):  # type: ignore[misc]
    """mmengine's, with the same arguments, and in its place once mmkd is imported.

    What is different:

    - An older file is deleted after the newer one is written, not before. So there is
      room for one more needed than ``max_keep_ckpts`` says.
    - Resuming, it takes the last checkpoint that is whole, the same on all ranks, and
      says which it passed over.
    - A checkpoint is written before the validation of its epoch. A run that is resumed
      from it validates first, where mmengine would never.
    """

    file_backend: Any

    def before_run(self, runner: Runner) -> None:
        """Choose where a run goes on."""
        super().before_run(runner)
        if runner._resume and runner._load_from is None and not runner._has_loaded:
            chosen = [self._choose(runner) if is_main_process() else None]
            broadcast_object_list(chosen)
            runner._load_from = chosen[0]

    def _choose(self, runner: Runner) -> str | None:
        """The last checkpoint that is whole; None if there is none at all."""
        found = self._written(Path(self.out_dir or runner.work_dir), runner)
        for file in found:
            if is_whole(file):
                return str(file)
            runner.logger.warning(f"'{file}' is not whole, it is passed over.")
        if found:
            raise RuntimeError(
                f"None of the checkpoints in '{runner.work_dir}' is whole. Delete them "
                'to begin anew, or go on from another file: --resume FILE'
            )
        return None

    def _written(self, folder: Path, runner: Runner) -> list[Path]:
        """Files that are there: what ``last_checkpoint`` names, then by time."""
        if folder != Path(runner.work_dir):
            folder /= Path(runner.work_dir).name
        name = re.escape(self.filename_tmpl).replace(r'\{\}', r'\d+')
        files = [file for file in folder.glob('*') if re.fullmatch(name, file.name)]
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        note = Path(runner.work_dir) / 'last_checkpoint'
        last = Path(note.read_text().strip() or 'none') if note.is_file() else None
        if last is None or not last.is_file():
            return files
        return [last, *(file for file in files if file != last)]

    def before_train(self, runner: Runner) -> None:
        """Validate what the run before was stopped before it could."""
        super().before_train(runner)
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            step, last = loop.iter, loop.max_iters
        elif isinstance(loop, EpochBasedTrainLoop):
            step, last = loop.epoch, loop.max_epochs
            self._check_place(runner, loop)
        else:
            return
        if not (runner._resume and step and runner.val_loop is not None):
            return
        loop._decide_current_val_interval()
        if step >= loop.val_begin and (step % loop.val_interval == 0 or step == last):
            runner.logger.info('The run was stopped before or in its validation.')
            runner.val_loop.run()

    def _check_place(self, runner: Runner, loop: EpochBasedTrainLoop) -> None:
        """Warn of a checkpoint from within an epoch, which begins anew."""
        done = loop.iter - loop.epoch * len(loop.dataloader)
        if done:  # only a resumed run has done any
            runner.logger.warning(
                f'The checkpoint is from within an epoch, which begins anew: {done} '
                'iterations are made twice. To go on exactly, save at the ends of '
                "epochs (by_epoch=True), or train with type='IterBasedTrainLoop'."
            )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: Any) -> None:
        check_weights(model_of(runner))
        with self._deleting_later():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: Any) -> None:
        check_weights(model_of(runner))
        with self._deleting_later():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _deleting_later(self) -> Iterator[None]:
        """Delete what has to go once all is written; nothing if that fails."""
        backend: Any = self.file_backend
        self.file_backend = waiting = Waiting(backend)
        try:
            yield
            waiting.delete()
        finally:
            self.file_backend = backend


def register_checkpoint_hook() -> None:
    """Let mmkd's hook be what configs mean by 'CheckpointHook'."""
    MMENGINE_HOOKS.register_module('CheckpointHook', True, CheckpointHook)
