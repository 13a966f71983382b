r"""Levels on the disk: arrays of what a teacher said, and checksums of their rows.

With ``top_k``, of the logits z only the k largest are kept, and one number for the
others: that which gives all of them together the right probability at temperature tau,
spread evenly. With m this probability and C classes, the KD loss at tau is wrong by at
most :math:`\tau^2 m (\log(C - k) + \max - \min)`, the last two of the student's
:math:`\log p` among the others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

Array = np.ndarray[Any, Any]
Meta = dict[str, Any]


def arrays_of(level: Meta) -> dict[str, tuple[tuple[int, ...], str]]:
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
            open_array(stem.with_name(stem.name + ending), (rows, *shape), dtype, mode)
            for ending, (shape, dtype) in arrays_of(level).items()
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
            raise ValueError(damaged(_npy(self.stem), why))
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


def open_array(stem: Path, shape: tuple[int, ...], dtype: str, mode: str) -> Array:
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
        raise ValueError(damaged(file, str(error))) from error
    if (found.shape, str(found.dtype)) != (shape, dtype):
        raise ValueError(
            damaged(file, f'{found.shape} of {found.dtype}, not {shape} of {dtype}')
        )
    return np.asarray(found) if mode == 'r' else found  # a memmap's rows come slowly


def damaged(file: Path, why: str) -> str:
    """What is said of a file that is not as it was written."""
    return (
        f"'{file}' of a recording is missing or damaged ({why}). Copy the recording "
        'again, or make a new one in another folder.'
    )
