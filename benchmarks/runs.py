"""Trainings side by side in a pool of processes, and a log with a line for each."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

Job = dict[str, Any]  # task, method, seed, and perhaps a factor of the weights
Row = dict[str, Any]
KEYS = ('task', 'method', 'seed', 'factor')


def read(out: Path) -> list[Row]:
    """The lines of a log, if there is one."""
    lines = out.read_text().splitlines() if out.is_file() else []
    return [json.loads(line) for line in lines]


def run_all(
    jobs: list[Job], train: Callable[[Job], Row], out: Path, pool: ProcessPoolExecutor
) -> None:
    """Run what is not in ``out`` yet, and write a line for each."""
    done = [{key: row.get(key) for key in KEYS} for row in read(out)]
    todo = [job for job in jobs if {key: job.get(key) for key in KEYS} not in done]
    futures = {pool.submit(train, job): job for job in todo}
    for number, future in enumerate(as_completed(futures), 1):
        row = future.result()
        with out.open('a') as file:
            file.write(json.dumps(row) + '\n')
        print(
            f'{number}/{len(todo)}',
            *futures[future].values(),
            f'{row["metric"]:.3f} in {row["cpu_seconds"]:.0f} s',
            flush=True,
        )


def fit(
    config: Any, job: Job, metric: str, folder: Path, keep: Path | None = None
) -> Row:
    """Train a config and test it; return what came out.

    Args:
        config: Its Config; hooks that write or measure are taken out of it.
        job: Says the seed and names the work dir.
        metric: The one of the tables.
        folder: For the work dirs.
        keep: Where the weights go; None keeps none.
    """
    warnings.simplefilter('ignore')
    # What mmengine prints of a hundred runs is not worth keeping.
    with contextlib.redirect_stdout(io.StringIO()):
        row = _fit(config, job, metric, folder, keep)
    logging.shutdown()
    return row


def _fit(config: Any, job: Job, metric: str, folder: Path, keep: Path | None) -> Row:
    import torch
    from mmengine.logging import MessageHub

    from mmkd.build import build_runner

    name = '-'.join(str(value) for value in job.values())
    config.work_dir = str(folder / job['task'] / name)
    config.experiment_name = name
    config.log_level = 'ERROR'
    config.randomness = dict(seed=job['seed'])
    config.default_hooks['checkpoint'] = None
    config.custom_hooks = [
        hook
        for hook in config.get('custom_hooks') or []
        if hook['type'] not in ('mmkd.ExportStudent', 'mmkd.GradientShare')
    ]
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    runner = build_runner(config)
    cpu, wall = time.process_time(), time.perf_counter()
    runner.train()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    hub = MessageHub.get_current_instance().log_scalars
    losses = {
        key.partition('/')[2]: round(float(values.mean(20)), 5)
        for key, values in hub.items()
        if key.startswith('train/') and ('loss' in key or 'raw' in key)
    }
    metrics = runner.test()
    if keep is not None:
        part = keep.with_suffix('.part')
        torch.save(dict(state_dict=runner.model.state_dict()), part)
        os.replace(part, keep)
    return dict(
        metric=round(float(metrics[metric]), 4),
        metrics={key: round(float(value), 4) for key, value in metrics.items()},
        epochs=runner.max_epochs,
        cpu_seconds=round(cpu, 1),
        seconds=round(wall, 1),
        losses=losses,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU',
        versions=dict(
            python=platform.python_version(), torch=torch.__version__.partition('+')[0]
        ),
    )
