#!/usr/bin/env python3
"""Every method on the demo's data: what a student gains over training alone.

Each run is one line of results.jsonl; what is there already is not run again, so the
command can be stopped and started at will. The teacher of a task is trained once, with
seed 0, and every student has the same budget. The weights of the terms stand in
configs/demo; they were chosen with --tune, which looks at the validation images only.

    python benchmarks/embedded/run.py                      # three hours of one core
    python benchmarks/embedded/run.py --tasks cls --methods student kd --seeds 0 1
    python benchmarks/embedded/run.py --tune
    python benchmarks/embedded/summarize.py                # docs/results/embedded.md
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from runs import fit, read, run_all  # noqa: E402

CONFIGS = ROOT / 'configs' / 'demo'
METRICS = dict(
    cls='accuracy/top1', det='coco/bbox_mAP', ins='coco/segm_mAP', seg='mIoU'
)
# What --tune tries of each method: factors of the weight that the config has.
FACTORS = (0.1, 10.0)
TUNING_SEED = 100  # none of those that are reported


def parse_args() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--tasks', nargs='+', choices=METRICS, default=list(METRICS))
    add('--methods', nargs='+', help='default: all configs of the task')
    add('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4])
    add('--workers', type=int, default=2, help='runs at a time, one thread each')
    add('--work-dir', type=Path, default=Path('work_dirs/embedded'))
    add('--tune', action='store_true', help='try other weights, on validation images')
    add('--factors', nargs='+', type=float, default=FACTORS, help='that --tune tries')
    add('--out', type=Path, help='default: results.jsonl or tuning.jsonl here')
    args = parser.parse_args()
    args.work_dir = args.work_dir.resolve()
    args.out = args.out or HERE / ('tuning.jsonl' if args.tune else 'results.jsonl')
    return args


def methods_of(task: str) -> list[str]:
    """The students of a task: all its configs but the teacher's."""
    names = {file.stem for file in (CONFIGS / task).glob('[a-z]*.py')} - {'teacher'}
    return sorted(names, key=lambda name: (name != 'student', name))


def plan(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that are asked for."""
    jobs = []
    for task in args.tasks:
        for method in args.methods or methods_of(task):
            if args.tune:
                jobs += [
                    dict(task=task, method=method, seed=TUNING_SEED, factor=factor)
                    for factor in (
                        [1.0] if method == 'student' else [1.0, *args.factors]
                    )
                ]
            else:
                jobs += [dict(task=task, method=method, seed=s) for s in args.seeds]
    return jobs


def train(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train and test one model; return the job with what came out."""
    import torch

    from mmkd.build import read_config
    from mmkd.mixin import is_distillation

    torch.set_num_threads(1)
    task, method = job['task'], job['method']
    os.environ.update(surroundings(task, folder))
    config = read_config(CONFIGS / task / f'{method}.py')
    split = 'val' if 'factor' in job else 'test'
    if split == 'val':
        config.test_dataloader = config.val_dataloader
        config.test_evaluator = config.val_evaluator
    if is_distillation(config):
        for term in config.model.terms.values():
            term.weight = term.get('weight', 1.0) * job.get('factor', 1.0)
    keep = folder / f'{task}_teacher.pth' if method == 'teacher' else None
    return dict(job, split=split, **fit(config, job, METRICS[task], folder, keep))


def surroundings(task: str, folder: Path) -> dict[str, str]:
    """Where the configs find what they need."""
    return dict(
        DEMO_DATA=str(folder / 'data'),
        DEMO_TEACHER=str(folder / f'{task}_teacher.pth'),
        DEMO_CODEBOOK=str(folder / f'{task}_codebook.pth'),
    )


def make_codebook(task: str, folder: Path) -> None:
    """The offline part of letKD."""
    tool = ROOT / 'tools' / 'build_codebook.py'
    command = [sys.executable, str(tool), str(CONFIGS / task / 'letkd.py')]
    env = dict(os.environ, **surroundings(task, folder), OMP_NUM_THREADS='1')
    subprocess.run(command, env=env, check=True)


def train_teachers(tasks: list[str], folder: Path, pool: ProcessPoolExecutor) -> None:
    """Train those whose weights are not here, whatever the log says of others."""
    missing = [task for task in tasks if not (folder / f'{task}_teacher.pth').is_file()]
    log = HERE / 'teachers.jsonl'
    kept = [row for row in read(log) if row['task'] not in missing]
    log.write_text(''.join(json.dumps(row) + '\n' for row in kept))
    jobs = [dict(task=task, method='teacher', seed=0) for task in missing]
    run_all(jobs, partial(train, folder=folder), log, pool)


def main() -> None:
    """Teachers, codebooks, then everything that is asked for."""
    args = parse_args()
    sys.path.insert(0, str(ROOT / 'demo'))
    from data import prepare

    args.work_dir.mkdir(parents=True, exist_ok=True)
    prepare(args.work_dir / 'data')
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        train_teachers(args.tasks, args.work_dir, pool)
        jobs = plan(args)
        for task in {job['task'] for job in jobs if job['method'] == 'letkd'}:
            if not (args.work_dir / f'{task}_codebook.pth').is_file():
                make_codebook(task, args.work_dir)
        run_all(jobs, partial(train, folder=args.work_dir), args.out, pool)


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.environ['PYTHONPATH'] = str(ROOT)
    main()
