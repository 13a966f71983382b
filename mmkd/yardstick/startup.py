"""How long it takes until mmkd is imported, and until a tool has shown its help."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

import torch

from mmkd.build import carried
from mmkd.yardstick.clock import Row
from mmkd.yardstick.machine import machine

# What every training with mmengine imports anyway.
BASE = 'import mmengine.hooks, mmengine.model, mmengine.runner'
TIMES = 5


def measure(times: int = TIMES) -> Iterator[Row]:
    """A row each: median seconds of the processor, and those beyond mmengine's."""
    imports = {'import mmkd': ['-c', f'{BASE}\nimport mmkd']}
    tools = {
        f'tools/{file.name} --help': [str(file), '--help']
        for file in sorted(carried('tools').glob('[a-z]*.py'))
    }
    base = seconds(['-c', BASE], times)
    for what, words in {**imports, **tools}.items():
        spent = seconds(words, times)
        yield dict(
            what=what,
            seconds=spent,
            base=base,
            beyond=max(0.0, spent - base),
            steps=times,
            clock='processor time',
            **machine(torch.device('cpu')),
        )


def seconds(words: Sequence[str], times: int) -> float:
    """The processor's time for a Python with these arguments; the first does not count.

    Compiled files are written in the first run.
    """
    spent = []
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    for _ in range(times + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, '-W', 'ignore', *words],
            check=True,
            capture_output=True,
            env=environment,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        parts = ('ru_utime', 'ru_stime')
        spent.append(sum(getattr(after, p) - getattr(before, p) for p in parts))
    return float(statistics.median(spent[1:]))
