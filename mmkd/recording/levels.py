r"""Levels on the disk: arrays of what a teacher said, and checksums of their rows.

With ``top_k``, of the logits z only the k largest are kept, and one number for the
others: that which gives all of them together the right probability at temperature tau,
spread evenly. With m this probability and C classes, the KD loss at tau is wrong by at
most :math:`\tau^2 m (\log(C - k) + \max - \min)`, the last two of the student's
:math:`\log p` among the others.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmkd.recording.arrays import (
    Array,
    Meta,
    arrays_of,
    damaged,
    npy,
    open_array,
    sums,
)


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
        self.sums[rows] = sums(kept)

    def get(self, rows: Array) -> list[Array]:
        """Give them back; raise if one is not what was kept."""
        found = [array[rows] for array in self.arrays]
        wrong = sums(found) != self.sums[rows]
        if wrong.any():
            why = f'row {rows[wrong.argmax()]} is not what was written'
            raise ValueError(damaged(npy(self.stem), why))
        return found

    def flush(self) -> None:
        """Bring it to the disk."""
        for array in (*self.arrays, self.sums):
            array.flush()  # type: ignore[attr-defined]


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
