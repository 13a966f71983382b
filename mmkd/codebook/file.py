"""The file of a codebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmkd.checkpoints.read import read_checkpoint

MAKE = 'python tools/build_codebook.py CONFIG'


def read(codebook: str, part: str) -> dict[str, Any]:
    """Read a codebook that has such a part.

    Args:
        codebook: The file.
        part: 'penultimate' or 'intermediate'.
    """
    path = Path(codebook).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no codebook '{codebook}'. Make it once from the teacher and "
            f'its training set: {MAKE}'
        )
    file, foreign = read_checkpoint(path)
    if foreign:
        names = ', '.join(sorted(foreign))
        raise ValueError(f"'{codebook}' holds objects of {names}: it is no codebook.")
    if not isinstance(file, dict) or part not in file:
        raise ValueError(f"The codebook '{codebook}' has no {part} part.")
    return file
