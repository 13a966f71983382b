"""A run of mmengine's Runner: what was set, what was logged, what is left."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from mmkd.mixin import is_distillation

Entry = dict[str, float]
STAMP = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - ')
_WARNING = re.compile(r' - WARNING - (.*)|\b(\w*Warning: .*)')
_ERROR = re.compile(r'^(?:\[rank\d+\]: ?)?([\w.]*(?:Error|Exception|Interrupt)\b.*)')
_LENGTH = re.compile(r'Epoch\(train\)\s*\[\s*\d+\]\[\s*\d+/(\d+)\]')
_SAVED = re.compile(r'Saving checkpoint at (\d+) (epochs|iterations)')
_SEED = re.compile(r'^\s+seed: (\d+)', re.M)
_ENVIRONMENT = re.compile(r'System environment:\n(.*?)\n-{20,}', re.S)
# What mmengine logs at every iteration that is no number of the model's.
TIMES = ('time', 'data_time', 'memory', 'epoch', 'iter', 'step')


@dataclass
class Run:
    """One run, of one or more starts.

    Args:
        path: The work dir.
        config: Its config; of the last start.
        train: What was logged in training; every entry has its iteration, 'iter'.
        val: What was logged in validation; 'iter' is the last logged one before it.
        text: The log files.
        notes: What is odd about the files.
    """

    path: Path
    config: Config
    train: list[Entry]
    val: list[Entry]
    text: str
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The work dir, short."""
        return '/'.join(self.path.parts[-2:])

    @property
    def distils(self) -> bool:
        """Whether mmkd taught the model."""
        return is_distillation(self.config)

    @property
    def seed(self) -> int | None:
        """The seed, set or drawn."""
        seed = (self.config.get('randomness') or {}).get('seed')
        if seed is None:
            found = _SEED.search(self.text)
            seed = int(found[1]) if found else None
        return seed

    @property
    def by_epoch(self) -> bool:
        """Whether the run counts epochs."""
        return 'max_iters' not in (self.config.get('train_cfg') or {})

    @cached_property
    def epoch_length(self) -> int | None:
        """Iterations in an epoch, if the log says it."""
        found = _LENGTH.findall(self.text)
        return int(found[-1]) if found else None

    @property
    def progress(self) -> tuple[int, int | None, str]:
        """How far it came, how far it should have come, and in which unit."""
        unit, key = ('epoch', 'epoch') if self.by_epoch else ('iteration', 'iter')
        cfg = self.config.get('train_cfg') or {}
        end = cfg.get('max_epochs' if self.by_epoch else 'max_iters')
        reached = int(max((entry.get(key, 0) for entry in self.train), default=0))
        if self.by_epoch and self.epoch_length and self.train:
            reached = max(0, reached - 1)  # the last logged one may be unfinished
            reached = max(reached, int(self.train[-1]['iter']) // self.epoch_length)
        saved = [
            int(n) for n, what in _SAVED.findall(self.text) if what[:4] == unit[:4]
        ]
        if self.by_epoch:
            saved += [int(entry.get('step', 0)) for entry in self.val]
        return max([reached, *saved]), end, unit

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        reached, end, _ = self.progress
        return end is None or reached >= end

    @cached_property
    def metrics(self) -> dict[str, list[tuple[float, float]]]:
        """Metric -> (iteration, value) of every validation."""
        found: dict[str, list[tuple[float, float]]] = {}
        for entry in self.val:
            for key, value in entry.items():
                if key not in TIMES:
                    found.setdefault(key, []).append((entry['iter'], value))
        return found

    @property
    def seconds(self) -> float | None:
        """Time spent in training iterations, from their logged durations."""
        total, before, known = 0.0, 0.0, False
        for entry in self.train:
            if 'time' in entry:
                total += entry['time'] * (entry['iter'] - before)
                known = True
            before = entry['iter']
        return total if known else None

    def series(self, key: str) -> list[tuple[float, float]]:
        """(iteration, value) of what was logged in training under ``key``."""
        return [(e['iter'], e[key]) for e in self.train if key in e]

    def checkpoint(self) -> Path | None:
        """The last checkpoint that is still there; else the student exported of it."""
        mark = self.path / 'last_checkpoint'
        names = [Path(mark.read_text().strip()).name] if mark.is_file() else []
        files = [self.path / name for name in names]
        files += sorted(
            [*self.path.glob('epoch_*.pth'), *self.path.glob('iter_*.pth')],
            key=lambda file: -int(re.sub(r'\D', '', file.stem) or 0),
        )
        files += [self.path / 'student_last.pth', *sorted(self.path.glob('best_*.pth'))]
        return next((file for file in files if file.is_file()), None)

    @cached_property
    def warnings(self) -> Counter[str]:
        """Warning -> how often; those that differ in numbers alone are one."""
        first: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for line in self.text.splitlines():
            found = _WARNING.search(line)
            if found:
                text = (found[1] or found[2]).strip()
                kind = re.sub(r'[\d.]+', '#', text)
                counts[first.setdefault(kind, text)] += 1
        return counts

    @property
    def errors(self) -> list[str]:
        """What stopped it: the last lines of tracebacks."""
        after = False
        found: list[str] = []
        for line in self.text.splitlines():
            after = (after or 'Traceback (most recent' in line) and not STAMP.match(
                line
            )
            match = _ERROR.match(line) if after else None
            if match and match[1] not in found:
                found.append(match[1])
        return found

    @property
    def not_finite(self) -> list[tuple[str, int, int]]:
        """Logged keys with NaN or infinity: key, how often, first iteration."""
        found: dict[str, list[int]] = {}
        for entry in (*self.train, *self.val):
            for key, value in entry.items():
                if value != value or value in (float('inf'), float('-inf')):
                    found.setdefault(key, []).append(int(entry['iter']))
        return [(key, len(at), min(at)) for key, at in found.items()]

    @property
    def environment(self) -> dict[str, str]:
        """What mmengine logged of machine and versions, at the last start."""
        blocks = _ENVIRONMENT.findall(self.text)
        lines = re.findall(r'^    ([\w ]+?): (.+)$', blocks[-1], re.M) if blocks else []
        return {key: value.strip() for key, value in lines if len(value) < 200}
