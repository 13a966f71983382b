"""Recording a teacher: every view of every image once, block by block."""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import Tensor

from mmkd.checkpoints.whole import whole
from mmkd.datasets.views import ReplayedViews
from mmkd.recording.levels import Array, Meta, TopK, Whole, arrays_of
from mmkd.recording.origin import differences, of_data, of_teacher
from mmkd.recording.reader import open_files, read_meta

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
        self.terms = [t for t in distiller.terms.values() if t.source == name]
        self.paths = list(dict.fromkeys(p for t in self.terms for p in t.teacher_paths))
        self.batch = batch
        self.rows = dataset.views * len(dataset)
        self._refuse()
        first = self._check_replay()
        self.meta: Meta = dict(
            command=command,
            config=config,
            images=len(dataset),
            batch=batch,
            levels=self._plan(first, dtype, top_k),
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

    def _plan(
        self, first: dict[str, list[Tensor]], dtype: str, top_k: int | None
    ) -> dict[str, list[Meta]]:
        """Shape and form of every level."""
        soft = temperatures(self.terms)
        plan: dict[str, list[Meta]] = {}
        for path, levels in first.items():
            plan[path] = []
            for level in levels:
                if level.ndim < 1 or len(level) != min(self.batch, self.rows):
                    raise ValueError(
                        f"'{path}' is {tuple(level.shape)}, and not of one image each."
                    )
                form: Meta = dict(shape=list(level.shape[1:]), dtype=dtype)
                if top_k and soft[path] and level.ndim == 2 and top_k < level.shape[1]:
                    form.update(k=top_k, tau=soft[path])
                plan[path].append(form)
        if top_k and not any('k' in form for forms in plan.values() for form in forms):
            raise ValueError(
                'top-k: no term compares softmax probabilities of more classes (with '
                'no other loss, temperature or connector on the same path).'
            )
        return plan

    @property
    def gigabytes(self) -> float:
        """How large the recording will be."""
        arrays = [
            array
            for levels in self.meta['levels'].values()
            for level in levels
            for array in arrays_of(level).values()
        ]
        size = 4  # of the view's checksum
        size += sum(math.prod(shape) * np.dtype(d).itemsize for shape, d in arrays)
        return self.rows * size / 1e9

    def _prepare(self) -> tuple[Array, Array, dict[str, list[Whole | TopK]]]:
        """Make the files, or find those of a recording that was stopped."""
        file = self.folder / 'meta.json'
        if file.is_file():
            old = read_meta(file)
            flat = [
                {**m['made_from'], **{k: m[k] for k in ('images', 'batch', 'levels')}}
                for m in (old, json.loads(json.dumps(self.meta)))
            ]
            changed = differences(*flat)
            if changed:
                raise ValueError(
                    f"'{self.folder}' holds another recording, with which this one "
                    'cannot go on:\n  ' + '\n  '.join(changed) + '\nDelete it, or '
                    'give another folder.'
                )
            mode = 'r+'
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            mode = 'w+'
        try:
            opened = open_files(self.folder, self.meta, mode)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            for made in self.folder.glob('*.npy'):
                if re.fullmatch(r'done|checks|\d+(\.places|\.sums)?', made.stem):
                    made.unlink()
            raise OSError(
                error.errno,
                f"'{self.folder}': there is no room for {self.gigabytes:.3g} GB. "
                'Record fewer --views, --dtype float16, --top-k 32, or elsewhere.',
            ) from error
        if mode == 'w+':  # last, so that with it everything is there
            with whole(file) as part:
                part.write_text(json.dumps(self.meta, indent=1))
        return opened

    def run(self, loader: Mapping[str, Any]) -> Iterator[int]:
        """Record what is missing; yields the number of views after every block.

        Args:
            loader: Settings of the dataloader: workers and how items are collated.
        """
        done, checks, levels = self._prepare()
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
                    self._check_level(path, tensor, form)
                    level.write(place, tensor.float())
                    level.flush()
            views = [sample.metainfo['view'] for sample in batch['data_samples']]
            checks[place] = [check for *_, check in views]
            checks.flush()  # type: ignore[attr-defined]
            done[block] = True  # after what it speaks for
            done.flush()  # type: ignore[attr-defined]
            yield len(chosen)

    def _check_level(self, path: str, tensor: Tensor, form: Meta) -> None:
        if list(tensor.shape[1:]) != form['shape']:
            raise ValueError(
                f"'{path}' is {tuple(tensor.shape[1:])} for some images and "
                f'{tuple(form["shape"])} for others: resize them to one size.'
            )
        most = torch.finfo(getattr(torch, form['dtype'])).max
        if not (tensor.abs() <= most).all():  # nor is NaN
            raise ValueError(
                f"'{path}' has values that {form['dtype']} cannot hold; "
                + ('take --dtype float32' if most < 1e5 else 'is the teacher trained?')
            )


def temperatures(terms: Iterable[Any]) -> dict[str, float]:
    """Path -> at which temperature a softmax is all that terms want of it; else 0."""
    wanted: dict[str, set[float]] = {}
    for term in terms:
        own = 0.0 if term.teacher.configs else term.loss.softmax_at or 0.0
        for path in term.teacher_paths:
            wanted.setdefault(path, set()).add(own)
    return {path: min(own) if len(own) == 1 else 0.0 for path, own in wanted.items()}


def record(recital: Recital, loader: Mapping[str, Any]) -> None:
    """Record all that is missing, with a progress bar."""
    bar = ProgressBar(recital.rows)
    for count in recital.run(loader):
        bar.update(count)
    print()
