r"""A recording of a teacher: what it said to every view of every image, on disk.

A folder with

- ``meta.json``: what it was made from, and what was recorded;
- ``done.npy``: which blocks of views are written; a killed recording goes on there;
- ``checks.npy``: checksums of views that the teacher saw, one in eight;
- ``0.npy``, ``1.npy``, …: one array (views * images, …) for each level of each path;
- ``0.sums.npy``, …: checksums of their rows.

Row ``v * images + i`` is view v of image i, as in :mod:`mmkd.datasets.views`. Arrays
are mapped into memory: all processes of a machine share what they have read.

With ``top_k``, of the logits z only the k largest are kept, and one number for the
others: that which gives all of them together the right probability at temperature tau,
spread evenly. With m this probability and C classes, the KD loss at tau is wrong by at
most :math:`\tau^2 m (\log(C - k) + \max - \min)`, the last two of the student's
:math:`\log p` among the others.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from mmkd.codebook.file import data_fingerprint, describe, teacher_fingerprint
from mmkd.datasets.views import ReplayedViews, ViewSampler
from mmkd.checkpoints.whole import whole
from mmkd.recorder import Recorder
from mmkd.teacher.renormalize import statistics

MAKE = 'python tools/record_teacher.py'
TASKS = ('mmpretrain', 'mmengine')
META = {'batch', 'command', 'config', 'images', 'levels', 'made_from'}
Array = np.ndarray[Any, Any]
Meta = dict[str, Any]


class Recording:
    """Read what a teacher said.

    Copies share it; each process opens the files anew.

    Args:
        folder: What tools/record_teacher.py has made.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        file = self.folder / 'meta.json'
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no recording '{folder}'. Make it: {MAKE} CONFIG {folder}"
            )
        self.meta = _read_meta(file)
        done, self.checks, self.levels = _open(self.folder, self.meta, 'r')
        if not done.all():
            raise ValueError(
                f"The recording '{folder}' is not complete: {done.sum()} of "
                f'{len(done)} blocks. The same command goes on with it: {self.command}'
            )

    def __deepcopy__(self, _: dict[int, Any]) -> Recording:
        return self

    def __reduce__(self) -> Any:
        return Recording, (str(self.folder),)

    @property
    def command(self) -> str:
        """The command that made it."""
        return str(self.meta['command'])

    def check(self, now: Meta) -> None:
        """Raise if it was made from something else, naming what.

        Args:
            now: What there is at present, of :func:`of_teacher` or :func:`of_data`.
        """
        changed = differences(self.meta['made_from'], now)
        if changed:
            raise ValueError(
                f"The recording '{self.folder}' was made from something else:\n  "
                + '\n  '.join(changed)
                + f'\nMake a new one, in another folder: {self.command}'
            )

    def check_paths(self, paths: Iterable[str]) -> None:
        """Raise if one of the paths was not recorded."""
        for path in paths:
            if path not in self.levels:
                raise ValueError(
                    f"The recording '{self.folder}' has no '{path}', only "
                    f'{sorted(self.levels)}. With this term in the config, make a new '
                    f'one, in another folder: {self.command}'
                )

    def check_data(self, loader: Any) -> None:
        """Raise if a dataloader gives other views than the recorded."""
        dataset = loader.dataset
        if not isinstance(dataset, ReplayedViews):
            raise ValueError(self._unwrapped())
        self.check(of_data(dataset))
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if dataset.views > 1 and not isinstance(sampler, ViewSampler):
            raise ValueError(
                f"The recording '{self.folder}' has {dataset.views} views of an image, "
                f'but a {type(sampler).__name__} only shows the first: wrap it, '
                "sampler=dict(type='mmkd.ViewSampler', sampler=…)"
            )

    def read(
        self, paths: Iterable[str], samples: Sequence[Any] | None, device: torch.device
    ) -> Replay:
        """What the teacher said at ``paths`` to the images of a batch."""
        found = [sample.get('view') for sample in samples or ()]
        if not found or None in found:
            raise ValueError(self._unwrapped())
        views = np.array(found)
        rows = views[:, 1] * self.meta['images'] + views[:, 0]
        if rows.max() >= len(self.checks):
            raise ValueError(f'{self._name}: it has no row {rows.max()}.')
        wrong = self.checks[rows] != views[:, 2]
        if wrong.any():
            index, view, _ = found[int(wrong.argmax())]
            raise ValueError(
                f'{self._name}: view {view} of image {index} is not the image that '
                'the teacher saw. The files, the pipeline or the packages that read '
                'and turn images have changed, or the pipeline draws numbers of its '
                f'own. Make a new one, in another folder: {self.command}'
            )
        return Replay(
            {
                path: [level.read(rows).to(device) for level in self.levels[path]]
                for path in paths
            }
        )

    @property
    def _name(self) -> str:
        return f"The recording '{self.folder}'"

    def _unwrapped(self) -> str:
        made = self.meta['made_from']
        return (
            f'{self._name} is of certain views, and the training set has others. Train '
            f"with '{self.folder / self.meta['config']}', which has them, or write "
            "train_dataloader=dict(dataset=dict(type='mmkd.ReplayedViews', "
            f'views={made["views"]}, seed={made["view seed"]}, dataset=…), '
            "sampler=dict(type='mmkd.ViewSampler', sampler=…))."
        )


class Replay(Recorder):
    """What the recorder would hold, had the teacher run."""

    def __init__(self, levels: dict[str, list[Tensor]]) -> None:
        super().__init__(nn.Module(), levels)
        self.levels = levels

    def __getitem__(self, path: str) -> list[Tensor]:
        return self.levels[path]

    def overwritten(self, path: str) -> bool:
        """Nothing is."""
        return False


# -- levels on disk --------------------------------------------------------------------


def _arrays(level: Meta) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape of a row and dtype of what a level is kept in, by the file's ending."""
    found = {'': (tuple(level['shape']), level['dtype'])}
    if 'k' in level:
        places = 'uint16' if level['shape'][0] <= 2**16 else 'uint32'
        found[''] = (level['k'] + 1,), level['dtype']
        found['.places'] = (level['k'],), places
    return {**found, '.sums': ((), 'uint32')}


class Level:
    """Arrays of values for each row, and a checksum of every row.

    Args:
        stem: Name of the files without their endings.
        rows: How many.
        level: Shape and form.
        mode: 'r', 'r+' or 'w+'.
    """

    def __init__(self, stem: Path, rows: int, level: Meta, mode: str) -> None:
        self.stem = stem
        *self.arrays, self.sums = [
            _array(stem.with_name(stem.name + ending), (rows, *shape), dtype, mode)
            for ending, (shape, dtype) in _arrays(level).items()
        ]

    def keep(self, rows: slice, *tensors: Tensor) -> None:
        """Keep a tensor (n, …) in each array."""
        kept = [
            tensor.cpu().numpy().astype(array.dtype)
            for tensor, array in zip(tensors, self.arrays)
        ]
        for array, values in zip(self.arrays, kept):
            array[rows] = values
        self.sums[rows] = _sums(kept)

    def get(self, rows: Array) -> list[Array]:
        """Give them back; raise if one is not what was kept."""
        found = [array[rows] for array in self.arrays]
        wrong = _sums(found) != self.sums[rows]
        if wrong.any():
            why = f'row {rows[wrong.argmax()]} is not what was written'
            raise ValueError(_damaged(_npy(self.stem), why))
        return found

    def flush(self) -> None:
        """Bring it to the disk."""
        for array in (*self.arrays, self.sums):
            array.flush()  # type: ignore[attr-defined]


def _sums(arrays: Sequence[Array]) -> Array:
    """A number (n,) for each row that changes if one value (n, …) of it does."""
    totals: Array = np.zeros(len(arrays[0]), 'uint32')
    for array in arrays:
        bits = array.reshape(len(array), -1).view(f'u{array.itemsize}')
        totals += bits.sum(1, dtype='uint32')
    return totals


class Whole(Level):
    """A level as it is: (rows, *shape)."""

    def write(self, rows: slice, tensor: Tensor) -> None:
        """Keep the tensor (n, *shape) of some rows."""
        self.keep(rows, tensor)

    def read(self, rows: Array) -> Tensor:
        """Give it back, in fp32."""
        (values,) = self.get(rows)
        return torch.from_numpy(values.astype(np.float32, copy=False))


class TopK(Level):
    """Of logits (rows, C) the k largest, their places, and one number for the rest."""

    def __init__(self, stem: Path, rows: int, level: Meta, mode: str) -> None:
        self.classes = int(level['shape'][0])
        self.k, self.tau = int(level['k']), float(level['tau'])
        super().__init__(stem, rows, level, mode)

    def write(self, rows: slice, tensor: Tensor) -> None:
        """Keep logits (n, C)."""
        values, places = tensor.topk(self.k, dim=1)
        self.keep(rows, torch.cat([values, self._rest(tensor, places)], 1), places)

    def _rest(self, logits: Tensor, places: Tensor) -> Tensor:
        """The logit (n, 1) that each of the others gets."""
        others = logits.scatter(1, places, -torch.inf) / self.tau
        total = others.logsumexp(1, keepdim=True)
        rest: Tensor = (total - math.log(self.classes - self.k)) * self.tau
        return rest

    def read(self, rows: Array) -> Tensor:
        """Logits (n, C) in fp32."""
        kept, chosen = self.get(rows)
        values = torch.from_numpy(kept.astype(np.float32, copy=False))
        places = torch.from_numpy(chosen.astype(np.int64))
        logits = values[:, -1:].repeat(1, self.classes)
        logits.scatter_(1, places, values[:, :-1])
        return logits


def _npy(stem: Path) -> Path:
    return stem.with_name(f'{stem.name}.npy')


def _array(stem: Path, shape: tuple[int, ...], dtype: str, mode: str) -> Array:
    """Map a file; 'w+' makes it, with room on the disk for all of it."""
    file = _npy(stem)
    if mode == 'w+':
        made: Array = open_memmap(file, mode, np.dtype(dtype), shape)  # type: ignore
        if hasattr(os, 'posix_fallocate'):  # a full disk would end a mapped write
            with open(file, 'rb+') as opened:  # with a bus error
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        return made
    try:
        found: Array = np.load(file, mmap_mode=mode)  # type: ignore
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(_damaged(file, str(error))) from error
    if (found.shape, str(found.dtype)) != (shape, dtype):
        raise ValueError(
            _damaged(file, f'{found.shape} of {found.dtype}, not {shape} of {dtype}')
        )
    return np.asarray(found) if mode == 'r' else found  # a memmap's rows come slowly


def _damaged(file: Path, why: str) -> str:
    return (
        f"'{file}' of a recording is missing or damaged ({why}). Copy the recording "
        'again, or make a new one in another folder.'
    )


def _read_meta(file: Path) -> Meta:
    """What a recording says of itself."""
    try:
        meta: Meta = json.loads(file.read_text())
        missing = META - set(meta)
    except (ValueError, TypeError) as error:
        raise ValueError(_damaged(file, str(error))) from error
    if missing:
        raise ValueError(_damaged(file, f'it has no {sorted(missing)}'))
    return meta


def _open(
    folder: Path, meta: Meta, mode: str
) -> tuple[Array, Array, dict[str, list[Whole | TopK]]]:
    """Which blocks are done, the checksums, and all levels of all paths."""
    rows = meta['images'] * meta['made_from']['views']
    blocks = -(-rows // meta['batch'])
    done = _array(folder / 'done', (blocks,), 'bool', mode)
    checks = _array(folder / 'checks', (rows,), 'uint32', mode)
    found: dict[str, list[Whole | TopK]] = {}
    number = 0
    for path, levels in meta['levels'].items():
        found[path] = []
        for level in levels:
            kind = TopK if 'k' in level else Whole
            found[path].append(kind(folder / str(number), rows, level, mode))
            number += 1
    return done, checks, found


# -- what it is made from --------------------------------------------------------------


def of_teacher(model: nn.Module, renormalize: nn.Module, student: nn.Module) -> Meta:
    """What the teacher's answers depend on: weights, network, colours that it sees."""
    lines = repr(model).splitlines()
    network = '\n'.join(line for line in lines if 'init_cfg=' not in line)
    return {
        'teacher weights': teacher_fingerprint(model),
        'teacher network': hashlib.sha256(network.encode()).hexdigest(),
        'normalisation': f'{statistics(student.data_preprocessor)}, {renormalize}',
    }


def of_data(dataset: ReplayedViews) -> Meta:
    """What the views depend on."""
    return {
        'data': describe(data_fingerprint(dataset)),
        'pipeline': dataset.pipeline_text,
        'views': dataset.views,
        'view seed': dataset.seed,
    }


def differences(recorded: Meta, now: Meta) -> list[str]:
    """One line for each thing that is not as it was; what only one side has is left."""
    lines = []
    for key in [key for key in now if key in recorded]:
        old, new = recorded[key], now[key]
        if old == new:
            continue
        if isinstance(old, list):
            steps = [f'- {step}' for step in old if step not in new]
            steps += [f'+ {step}' for step in new if step not in old]
            old_new = '; '.join(steps) or 'another order'
        else:
            old_new = f'{_short(old)}, now {_short(new)}'
        lines.append(f'{key}: {old_new}')
    return lines


def _short(value: Any) -> str:
    return str(value)[:8] if re.fullmatch('[0-9a-f]{64}', str(value)) else str(value)


# -- making it -------------------------------------------------------------------------


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
            for array in _arrays(level).values()
        ]
        size = 4  # of the view's checksum
        size += sum(math.prod(shape) * np.dtype(d).itemsize for shape, d in arrays)
        return self.rows * size / 1e9

    def _prepare(self) -> tuple[Array, Array, dict[str, list[Whole | TopK]]]:
        """Make the files, or find those of a recording that was stopped."""
        file = self.folder / 'meta.json'
        if file.is_file():
            old = _read_meta(file)
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
            opened = _open(self.folder, self.meta, mode)
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


def replayed(config: Any, folder: str, name: str, views: int, seed: int) -> None:
    """Let a config train from a recording; nothing else in it changes.

    Args:
        config: Of a distillation.
        folder: The recording's.
        name: Which teacher it is of.
        views: As in :class:`mmkd.datasets.ReplayedViews`, unless the config has that.
        seed: Likewise.
    """
    loader = config.train_dataloader
    if loader.dataset.get('type') != 'mmkd.ReplayedViews':
        loader.dataset = dict(
            type='mmkd.ReplayedViews', views=views, seed=seed, dataset=loader.dataset
        )
        loader.sampler = dict(type='mmkd.ViewSampler', sampler=loader.sampler)
    several = config.model.get('teachers')
    place, key = (
        (several[name], 'options') if several else (config.model, 'teacher_options')
    )
    place[key] = dict(place.get(key) or {}, recording=folder)
