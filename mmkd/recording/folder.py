"""The folder of a recording: opened, made, or gone on with."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path
from typing import Union

from mmkd.checkpoints.whole import whole
from mmkd.recording.arrays import Array, Meta, damaged, open_array
from mmkd.recording.levels import TopK, Whole
from mmkd.recording.origin import differences

META = {'batch', 'command', 'config', 'images', 'levels', 'made_from'}
# Which blocks are done, the checksums, and all levels of all paths.
Files = tuple[Array, Array, dict[str, list[Union[Whole, TopK]]]]


def read_meta(file: Path) -> Meta:
    """What a recording says of itself."""
    try:
        meta: Meta = json.loads(file.read_text())
        missing = META - set(meta)
    except (ValueError, TypeError) as error:
        raise ValueError(damaged(file, str(error))) from error
    if missing:
        raise ValueError(damaged(file, f'it has no {sorted(missing)}'))
    return meta


def open_files(folder: Path, meta: Meta, mode: str) -> Files:
    """Open all files of a recording, in a mode of :class:`Level`."""
    rows = meta['images'] * meta['made_from']['views']
    blocks = -(-rows // meta['batch'])
    done = open_array(folder / 'done', (blocks,), 'bool', mode)
    checks = open_array(folder / 'checks', (rows,), 'uint32', mode)
    found: dict[str, list[Whole | TopK]] = {}
    number = 0
    for path, levels in meta['levels'].items():
        found[path] = []
        for level in levels:
            kind = TopK if 'k' in level else Whole
            found[path].append(kind(folder / str(number), rows, level, mode))
            number += 1
    return done, checks, found


def make_files(folder: Path, meta: Meta, gigabytes: float) -> Files:
    """Make the files, or find those of a recording that was stopped.

    Args:
        folder: Where.
        meta: What is to be recorded.
        gigabytes: How large that is.
    """
    file = folder / 'meta.json'
    if file.is_file():
        _check_same(folder, read_meta(file), meta)
        return open_files(folder, meta, 'r+')
    folder.mkdir(parents=True, exist_ok=True)
    try:
        opened = open_files(folder, meta, 'w+')
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        for made in folder.glob('*.npy'):
            if re.fullmatch(r'done|checks|\d+(\.places|\.sums)?', made.stem):
                made.unlink()
        raise OSError(
            error.errno,
            f"'{folder}': there is no room for {gigabytes:.3g} GB. "
            'Record fewer --views, --dtype float16, --top-k 32, or elsewhere.',
        ) from error
    with whole(file) as part:  # last, so that with it everything is there
        part.write_text(json.dumps(meta, indent=1))
    return opened


def _check_same(folder: Path, old: Meta, meta: Meta) -> None:
    """Raise if a folder holds another recording."""
    flat = [
        {**m['made_from'], **{k: m[k] for k in ('images', 'batch', 'levels')}}
        for m in (old, json.loads(json.dumps(meta)))
    ]
    changed = differences(*flat)
    if changed:
        raise ValueError(
            f"'{folder}' holds another recording, with which this one "
            'cannot go on:\n  ' + '\n  '.join(changed) + '\nDelete it, or '
            'give another folder.'
        )
