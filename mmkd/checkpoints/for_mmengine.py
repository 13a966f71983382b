"""mmengine's ``load_from`` and ``resume``, read without running code."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, checkpoint

from mmkd.checkpoints.read import read_checkpoint
from mmkd.checkpoints.unpickle import has_inert


def read_for_mmengine(filename: str, map_location: Any = None, **_: Any) -> Any:
    """Reader of local files and addresses for ``load_from`` and ``resume``.

    Raises if a part that training needs would have to be unpickled as code.
    """
    content, foreign = read_checkpoint(filename, map_location)
    if isinstance(content, dict):
        names = ', '.join(sorted(foreign)) or 'another class'
        needed = {key: value for key, value in content.items() if key != 'meta'}
        if has_inert(needed):
            raise RuntimeError(
                f"'{filename}' holds objects of {names}. Loading "
                'them would run code from the file. If you made it or trust who did, '
                'set MMKD_TRUST_CHECKPOINTS=1.'
            )
        if foreign:
            print_log(
                f"'{filename}': not loaded from its meta data: {names}",
                'current',
                logging.WARNING,
            )
    return content


def register_safe_reader() -> None:
    """Make mmengine's ``load_from`` and ``resume`` read through this module."""
    CheckpointLoader.register_scheme(
        ('', 'http://', 'https://'), read_for_mmengine, force=True
    )
    # What it makes of names like torchvision://resnet50 are addresses for this.
    checkpoint.load_from_http = read_for_mmengine
