"""Read the work dirs of mmengine's Runner.

A work dir has a folder for every start of the run (``<timestamp>/vis_data``), and the
checkpoints beside them. A run that was resumed is put together again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmkd.report.runs import STAMP, Entry, Run


def find_work_dirs(path: str | Path) -> list[Path]:
    """The work dir that a path is, or those below it; raises if there are none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder '{path}'.")
    if folder.name == 'vis_data' or (folder / 'vis_data').is_dir():
        parent = folder.parent.parent if folder.name == 'vis_data' else folder.parent
        raise ValueError(f"'{path}' is a part of a work dir: give '{parent}'.")
    found = [folder] if _starts(folder) else []
    for depth in (1, 2, 3):
        if not found:
            below = folder.glob('/'.join('*' * depth))
            found = sorted(p for p in below if p.is_dir() and _starts(p))
    if not found:
        raise ValueError(
            f"'{path}' is no work dir of mmengine's Runner, nor are there any in it: "
            'no <timestamp>/vis_data anywhere. Give the --work-dir of a training.'
        )
    return found


def read_run(path: Path) -> Run:
    """Read one work dir."""
    starts = _starts(path)
    notes: list[str] = []
    configs = [s / 'vis_data' / 'config.py' for s in reversed(starts)]
    configs = [
        file for file in (*configs, *sorted(path.glob('*.py'))) if file.is_file()
    ]
    if not configs:
        raise ValueError(f"'{path}' has logs, but no config (vis_data/config.py).")
    config = Config.fromfile(str(configs[0]), import_custom_modules=False)
    train: list[Entry] = []
    val: list[Entry] = []
    for start in starts:
        lines = _read_scalars(start / 'vis_data', notes)
        if not lines:
            continue
        begin = min((e['iter'] for e in lines if 'iter' in e), default=0)
        if train and begin <= train[0]['iter']:
            notes.append(f'started anew at {start.name}; what was before is left out')
        train = [entry for entry in train if entry['iter'] < begin]
        val = [entry for entry in val if entry['iter'] < begin]
        _sort(lines, train, val)
    if not train:
        notes.append('no training was logged: it stopped before the first log line')
    return Run(path, config, train, val, _read_logs(path, starts), notes)


def _starts(path: Path) -> list[Path]:
    try:
        return sorted(p for p in path.iterdir() if (p / 'vis_data').is_dir())
    except OSError:
        return []


def _read_logs(path: Path, starts: list[Path]) -> str:
    """The logs of mmengine, and what others (a launcher, a shell) kept of the run."""
    own = [file for start in starts for file in sorted(start.glob('*.log'))]
    lines = [x for f in own for x in f.read_text(errors='replace').splitlines()]
    seen = set(lines)
    for file in sorted(path.glob('*.log')):
        for line in file.read_text(errors='replace').splitlines():
            if not (STAMP.match(line) and line in seen):
                lines.append(line)
    return '\n'.join(lines)


def _read_scalars(folder: Path, notes: list[str]) -> list[Entry]:
    files = [folder / 'scalars.json', *sorted(folder.glob('2*.json'))]
    file = next((f for f in files if f.is_file()), None)
    found, broken = [], 0
    for line in file.read_text(errors='replace').splitlines() if file else ():
        try:
            entry = json.loads(line)
            found.append({_short(k): v for k, v in _numbers(entry.items())})
        except (ValueError, AttributeError):  # cut off in the middle of writing
            broken += 1
    if broken and file:
        notes.append(f'{broken} unreadable lines in {folder.parent.name}/{file.name}')
    return found


def _numbers(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, float]]:
    return ((key, v) for key, v in items if isinstance(v, (int, float)))


def _short(key: str) -> str:
    """Without the 'train/' that ``log_with_hierarchy`` puts in front."""
    return re.sub(r'^(train|val)/', '', key)


def _sort(lines: list[Entry], train: list[Entry], val: list[Entry]) -> None:
    """Append the lines of one start; a validation is at the iteration before it."""
    last = train[-1]['iter'] if train else 0
    for entry in lines:
        if is_training(entry):
            entry.setdefault('iter', entry.get('step', 0))
            last = entry['iter']
            train.append(entry)
        else:
            val.append({**entry, 'iter': last})


def is_training(entry: Mapping[str, float]) -> bool:
    """Whether a logged line is of training: validation has no rate and no count."""
    return 'iter' in entry or any(key == 'lr' or key.endswith('/lr') for key in entry)
