#!/usr/bin/env python3
"""Accuracy and time of KD with the teacher at work, and from recordings.

The demo's student on the demo's digits: alone, with its teacher, and from recordings of
so many views, each with five seeds. Runs are lines of accuracy.jsonl; what is there is
not run again.

    python benchmarks/free_teacher/accuracy.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import runpy
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(ROOT / 'demo')]
import tuned  # noqa: E402
from runs import fit, read, run_all  # noqa: E402

from mmkd.build import read_config  # noqa: E402

VIEWS = (20, 8, 4)
RECORDED = {f'recorded, {views} views': views for views in VIEWS}
WAYS = ('alone', 'with the teacher', *RECORDED)
LOG = HERE / 'accuracy.jsonl'
METRIC = 'accuracy/top1'


def recording(views: int, work: Path) -> Path:
    """The folder with so many views."""
    return work / f'views{views}'


def config_of(way: str, work: Path) -> Config:
    """The config of a way to train, or of the teacher."""
    if way == 'with the teacher':
        return tuned.distilled('cls', 'kd', work / 'teacher.pth')
    if way in RECORDED:
        return read_config(recording(RECORDED[way], work) / 'student_kd_recorded.py')
    name = 'student' if way == 'alone' else way
    return read_config(tuned.config_of('cls', name))


def train(job: dict[str, Any], work: Path) -> dict[str, Any]:
    """Train and test one model."""
    torch.set_num_threads(1)
    if 'views' in job:  # make a recording
        start = time.process_time()
        record(job['views'], work)
        return dict(job, metric=0.0, cpu_seconds=round(time.process_time() - start, 1))
    config = config_of(job['method'], work)
    keep = work / 'teacher.pth' if job['method'] == 'teacher' else None
    return dict(job, **fit(config, job, METRIC, work, keep))


def record(views: int, work: Path) -> None:
    """Let the teacher say once what it sees in so many views."""
    student, out = tuned.config_of('cls', 'student'), recording(views, work)
    words = [str(student), str(out), '--views', str(views)]
    words += tuned.arguments('cls', 'kd', work / 'teacher.pth')
    words += tuned.spelt(tuned.options('cls', 'kd'))
    runpy.run_path(str(ROOT / 'tools' / 'record_teacher.py'))['main'](words)


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each way."""
    times = {
        method: [row['cpu_seconds'] for row in rows if row['method'] == method]
        for method in dict.fromkeys(row['method'] for row in rows)
    }
    alone = statistics.mean(times['alone'])
    lines = [
        '| KD | top-1, % | time of a training | to record, once |',
        '|---|---:|---:|---:|',
    ]
    for method in times:
        if method in ('teacher', 'record'):
            continue
        found = [row['metric'] for row in rows if row['method'] == method]
        once = [
            row['cpu_seconds'] / alone
            for row in rows
            if row['method'] == 'record' and f' {row["views"]} ' in method
        ]
        lines.append(
            f'| {method} | {statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}'
            f' | {statistics.mean(times[method]) / alone:.2f} '
            f'| {f"{once[0]:.2f}" if once else ""} |'
        )
    return '\n'.join(lines)


def main() -> None:
    """Teacher, recordings, students, table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work', type=Path, default=Path('demo_runs/free_teacher'))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument('--workers', type=int, default=1)
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    from data import prepare

    os.environ['DEMO_DATA'] = str(prepare(work / 'data'))
    if not (work / 'teacher.pth').is_file():  # then nothing else is there either
        LOG.unlink(missing_ok=True)
    jobs: list[dict[str, Any]] = [dict(task='cls', method='teacher', seed=0)]
    jobs += [dict(task='cls', method='record', seed=v, views=v) for v in VIEWS]
    jobs += [
        dict(task='cls', method=method, seed=seed)
        for seed in args.seeds  # the ways take turns
        for method in WAYS
    ]
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        for stage in (jobs[:1], jobs[1 : 1 + len(VIEWS)], jobs[1 + len(VIEWS) :]):
            run_all(stage, partial(train, work=work), LOG, pool)
    print(table(read(LOG)))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.environ['PYTHONPATH'] = str(ROOT)
    main()
