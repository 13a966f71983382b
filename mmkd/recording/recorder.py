"""Recording a teacher: every view of every image once, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import Tensor

from mmkd.datasets.views import ReplayedViews
from mmkd.recording.arrays import Meta
from mmkd.recording.folder import make_files
from mmkd.recording.origin import of_data, of_teacher
from mmkd.recording.plan import bytes_of, check_level, plan

TASKS = ('mmpretrain', 'mmengine')


class Recital:
    """A teacher that is being recorded.

    Args:
        distiller: Its terms tap the teacher.
        name: The teacher's.
        dataset: The views.
        folder: Where the recording goes, or goes on.
        command: What the user typed, for errors to come.
        config: Name of the config in the folder that trains from the recording.
        dtype: 'float16' or 'float32'.
        top_k: Of logits keep only so many.
        batch: Views in a block.
    """

    def __init__(  # noqa: PLR0913
        self,
        distiller: Any,
        name: str,
        dataset: ReplayedViews,
        folder: Path,
        command: str,
        config: str,
        dtype: str = 'float32',
        top_k: int | None = None,
        batch: int = 32,
    ) -> None:
        self.distiller = distiller.eval()
        self.name = name
        self.dataset = dataset
        self.folder = folder
        self.terms = [t for t in distiller.terms.values() if t.teacher.reads(name)]
        paths = (path for term in self.terms for path in term.teacher.reads(name))
        self.paths = list(dict.fromkeys(paths))
        self.batch = batch
        self.rows = dataset.views * len(dataset)
        self._refuse()
        first = self._check_replay()
        self.meta: Meta = dict(
            command=command,
            config=config,
            images=len(dataset),
            batch=batch,
            levels=plan(first, self.terms, min(batch, self.rows), dtype, top_k),
            made_from={
                **of_teacher(
                    distiller.frozen[name].model,
                    distiller.renormalize[name],
                    distiller.student,
                ),
                **of_data(dataset),
            },
        )

    def _refuse(self) -> None:
        """Raise where the teacher's answer is not a matter of one image alone."""
        if not self.terms:
            raise ValueError(f'No term of the config listens to the {self.name}.')
        package = self.distiller.task.package
        if package not in TASKS:
            raise ValueError(
                f'Teachers of {package} are not recorded: their maps are large, and '
                'depend on how a batch is padded and on what the student proposes. '
                'teacher_options=dict(dtype=…, fold_bn=True, …) makes them cheaper.'
            )
        preprocessor = self.distiller.data_preprocessor
        if getattr(preprocessor, 'batch_augments', None) is not None:
            raise ValueError(
                'The data preprocessor mixes the images of a batch (batch_augments: '
                'Mixup, CutMix, …), so that no image comes again. Set it to None in '
                'train_cfg or data_preprocessor, or keep the teacher in the loop.'
            )

    def _batch(self, rows: Iterable[int]) -> Any:
        items = [self.dataset[row] for row in rows]
        return {key: [item[key] for item in items] for key in items[0]}

    def _check_replay(self) -> dict[str, list[Tensor]]:
        """See twice whether the same images come; return what the teacher says."""
        rows = range(min(self.batch, self.rows))
        one, two = (
            self.distiller.data_preprocessor(self._batch(order), True)['inputs']
            for order in (rows, [*reversed(rows)])
        )
        if one.shape != two.shape or not torch.equal(one, two.flip(0)):
            raise ValueError(
                'The same view does not come twice: the pipeline or the data '
                'preprocessor draws numbers from a generator of its own, or depends on '
                "the batch. mmkd.ReplayedViews seeds Python's random, NumPy and torch."
            )
        return self._ask(self._batch(rows))

    def _ask(self, batch: Any) -> dict[str, list[Tensor]]:
        """What the teacher says to a batch, as it would in training."""
        data = self.distiller.data_preprocessor(batch, True)
        inputs, samples = data['inputs'], data['data_samples']
        done, _ = self.distiller.teach(inputs, samples, self.terms)
        return {path: done[self.name][path] for path in self.paths}

    @property
    def gigabytes(self) -> float:
        """How large the recording will be."""
        return self.rows * bytes_of(self.meta['levels']) / 1e9

    def run(self, loader: Mapping[str, Any]) -> Iterator[int]:
        """Record what is missing; yields the number of views after every block.

        Args:
            loader: Settings of the dataloader: workers and how items are collated.
        """
        done, checks, levels = make_files(self.folder, self.meta, self.gigabytes)
        missing = [int(block) for block in np.flatnonzero(~done)]
        rows = [
            range(block * self.batch, min((block + 1) * self.batch, self.rows))
            for block in missing
        ]
        if not rows:
            return
        settings = dict(loader, dataset=self.dataset, sampler=None, batch_sampler=rows)
        for block, chosen, batch in zip(
            missing, rows, Runner.build_dataloader(settings)
        ):
            place = slice(chosen.start, chosen.stop)
            answer = self._ask(batch)
            for path, tensors in answer.items():
                for level, form, tensor in zip(
                    levels[path], self.meta['levels'][path], tensors
                ):
                    check_level(path, tensor, form)
                    level.write(place, tensor.float())
                    level.flush()
            views = [sample.metainfo['view'] for sample in batch['data_samples']]
            checks[place] = [check for *_, check in views]
            checks.flush()  # type: ignore[attr-defined]
            done[block] = True  # after what it speaks for
            done.flush()  # type: ignore[attr-defined]
            yield len(chosen)


def record(recital: Recital, loader: Mapping[str, Any]) -> None:
    """Record all that is missing, with a progress bar."""
    bar = ProgressBar(recital.rows)
    for count in recital.run(loader):
        bar.update(count)
    print()
