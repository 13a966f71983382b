"""Arrays on the disk that are mapped into memory, and checksums of their rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

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


def sums(arrays: Sequence[Array]) -> Array:
    """A number (n,) for each row that changes if one value (n, …) of it does."""
    totals: Array = np.zeros(len(arrays[0]), 'uint32')
    for array in arrays:
        bits = array.reshape(len(array), -1).view(f'u{array.itemsize}')
        totals += bits.sum(1, dtype='uint32')
    return totals


def npy(stem: Path) -> Path:
    """The file of an array."""
    return stem.with_name(f'{stem.name}.npy')


def open_array(stem: Path, shape: tuple[int, ...], dtype: str, mode: str) -> Array:
    """Map a file; 'w+' makes it, with room on the disk for all of it."""
    file = npy(stem)
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
