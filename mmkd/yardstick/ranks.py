"""A step of several processes that train together, as on several GPUs."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.multiprocessing

from mmkd.yardstick import pairs, steps
from mmkd.yardstick.clock import Row


def measure(
    name: str, methods: Sequence[str], setting: steps.Setting, ranks: int, folder: Path
) -> list[Row]:
    """Rows as of :func:`steps.measure`, of the first of so many processes.

    Each has its own images and one thread, and they exchange gradients with gloo.

    Args:
        name: Of a pair.
        methods: Which methods.
        setting: How, and how long.
        ranks: How many processes.
        folder: Where the rows go on their way.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    for old in folder.glob('rank-*.json'):
        old.unlink()
    given = (ranks, port, name, tuple(methods), setting, folder)
    torch.multiprocessing.spawn(_rank, given, nprocs=ranks)  # type: ignore
    files = [folder / f'rank-{rank}.json' for rank in range(ranks)]
    rows: list[Row] = json.loads(files[0].read_text())
    for file in files:
        file.unlink()
    return [dict(row, ranks=ranks) for row in rows]


def _rank(  # noqa: PLR0913
    rank: int,
    ranks: int,
    port: int,
    name: str,
    methods: Sequence[str],
    setting: steps.Setting,
    folder: Path,
) -> None:
    """What one process does."""
    import mmkd  # noqa: F401

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=ranks)
    rows = []
    for method in methods:
        pair = pairs.find_pair(name, setting.size, setting.device)
        rows.append(steps.measure(pair, method, setting, several=True))
    ours = folder / f'rank-{rank}.json'
    ours.with_suffix('.new').write_text(json.dumps(rows))
    ours.with_suffix('.new').rename(ours)
    # Leave together, and without taking gloo down: that hangs now and then.
    while not all((folder / f'rank-{i}.json').is_file() for i in range(ranks)):
        time.sleep(0.05)
    os._exit(0)
