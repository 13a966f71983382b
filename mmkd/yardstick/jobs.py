"""What tools/benchmark.py is asked to measure, one table's rows after another."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Union

import torch

from mmkd.yardstick import growth, losses, pairs, ranks, razor, startup, steps, teachers
from mmkd.yardstick.clock import Length, Row
from mmkd.yardstick.tables import TABLES

# The name of a table, and what measures one row of it, or some.
Job = tuple[str, Callable[[], Union[Row, Iterable[Row]]]]
# What makes two rows the same; the newer one stays.
SAME = (
    *('pair', 'method', 'terms', 'size', 'batch', 'axis', 'value', 'ranks'),
    *('loss', 'shape', 'what', 'options', 'device', 'torch'),
)


def jobs(args: argparse.Namespace) -> Iterator[Job]:
    """The name of a table, and what measures rows of it; one after another."""
    if args.startup:
        yield 'startup', startup.measure
        return
    device, length = prepare(args)
    if args.losses is not None:
        given = (args.losses, args.size or 512, device, length)
        yield 'losses', partial(losses.measure, *given)
        return
    yield from on_pairs(args, device, length)


def prepare(args: argparse.Namespace) -> tuple[torch.device, Length]:
    """Set torch up, the same for all ways; return where and how long."""
    device = torch.device(args.device or 'cpu')
    if args.device is None and torch.cuda.is_available():
        device = torch.device('cuda')
    on_gpu = device.type == 'cuda'
    if not on_gpu:
        torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = False  # else the ways may choose differently
    steps = args.steps or (100 if on_gpu else 12)
    return device, Length(steps, 10 if on_gpu else 2, args.seconds)


def on_pairs(
    args: argparse.Namespace, device: torch.device, length: Length
) -> Iterator[Job]:
    """As :func:`jobs`, for what is measured on pairs of models."""
    few = args.grow is not None or args.ranks is not None
    names = list(pairs.PAIRS)[: 1 if few else None]
    names = names if args.pairs is None else args.pairs
    methods = args.methods or (['kd'] if few else [*pairs.BY_HAND, *pairs.ALONE])
    axes = growth.read_axes(args.grow or (), device.type == 'cuda')
    options = teachers.choose(args.teacher or ())
    for name in names:
        pair = pairs.find_pair(name, args.size, device)
        size, batch = pairs.sizes(pair.kind, device)
        size, batch = args.size or size, args.batch or batch
        setting = steps.Setting(device, length, size, batch, args.terms)
        if args.teacher is not None:
            yield 'teachers', partial(teachers.measure, pair, setting, options)
        elif args.ranks is not None:
            given = (name, methods, setting, args.ranks, args.out)
            yield 'ranks', partial(ranks.measure, *given)
        elif args.mmrazor:
            method = next(m for kind, m in razor.TAPS if kind == pair.kind)
            yield 'razor', partial(razor.measure, pair, method, setting)
        other = args.teacher is not None or args.ranks is not None or args.mmrazor
        for method in () if other else methods:
            if args.grow is not None:
                yield 'growth', partial(growth.measure, name, method, setting, axes)
            else:
                yield 'results', partial(steps.measure, pair, method, setting)


def keep(file: Path, row: Row) -> None:
    """Add a row to a file, in the place of an older one of the same; print it."""
    rows = json.loads(file.read_text()) if file.is_file() else []
    same = [all(old.get(key) == row.get(key) for key in SAME) for old in rows]
    rows = [row if again else old for old, again in zip(rows, same)]
    rows += [] if any(same) else [row]
    file.write_text(json.dumps(rows, indent=1) + '\n')
    print(TABLES[file.stem]([row]).rpartition('\n')[2], flush=True)
