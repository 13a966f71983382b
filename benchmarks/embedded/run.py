#!/usr/bin/env python3
"""Every method on the demo's data: what a student gains over training alone.

Each run is one line of results.jsonl; what is there already is not run again, so the
command can be stopped and started at will. The teacher of a task is trained once, with
seed 0, and every student has the same budget. The weights of the terms stand in
demo/weights.json; they were chosen with --tune, which looks at the validation images
only.

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
sys.path[:0] = [str(HERE.parent), str(ROOT / 'demo')]
import tuned  # noqa: E402
from runs import fit, read, run_all  # noqa: E402

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
    add('--methods', nargs='+', help='default: all of demo/weights.json')
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


def plan(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that are asked for."""
    jobs = []
    for task in args.tasks:
        for method in args.methods or ['student', *tuned.TABLE[task]]:
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

    torch.set_num_threads(1)
    task, method = job['task'], job['method']
    os.environ['DEMO_DATA'] = str(folder / 'data')
    if method in ('student', 'teacher'):
        config = read_config(tuned.config_of(task, method))
    else:
        config = tuned.distilled(
            task, method, teacher_of(task, folder), named(task, method, folder)
        )
        for term in config.model.terms.values():
            term.weight = term.get('weight', 1.0) * job.get('factor', 1.0)
    split = 'val' if 'factor' in job else 'test'
    if split == 'val':
        config.test_dataloader = config.val_dataloader
        config.test_evaluator = config.val_evaluator
    keep = teacher_of(task, folder) if method == 'teacher' else None
    return dict(job, split=split, **fit(config, job, METRICS[task], folder, keep))


def teacher_of(task: str, folder: Path) -> Path:
    """The weights of a task's teacher."""
    return folder / f'{task}_teacher.pth'


def named(task: str, method: str, folder: Path) -> dict[str, Any]:
    """The settings that name what was made before the trainings with a method."""
    return {
        key: str(file)
        for _, settings in tuned.files(method, folder / f'{task}_{method}').values()
        for key, file in settings.items()
    }


def make_files(task: str, method: str, folder: Path) -> None:
    """What a method needs before it can train: letKD a codebook."""
    env = dict(os.environ, DEMO_DATA=str(folder / 'data'), OMP_NUM_THREADS='1')
    made = tuned.files(method, folder / f'{task}_{method}')
    for tool, (file, _) in made.items():
        if not file.is_file():
            command = [sys.executable, str(ROOT / 'tools' / f'{tool}.py')]
            command += [str(tuned.config_of(task, 'student')), str(file)]
            command += tuned.arguments(task, method, teacher_of(task, folder))
            command += tuned.spelt(tuned.options(task, method))
            subprocess.run(command, env=env, check=True)


def train_teachers(tasks: list[str], folder: Path, pool: ProcessPoolExecutor) -> None:
    """Train those whose weights are not here, whatever the log says of others."""
    missing = [task for task in tasks if not teacher_of(task, folder).is_file()]
    log = HERE / 'teachers.jsonl'
    kept = [row for row in read(log) if row['task'] not in missing]
    log.write_text(''.join(json.dumps(row) + '\n' for row in kept))
    jobs = [dict(task=task, method='teacher', seed=0) for task in missing]
    run_all(jobs, partial(train, folder=folder), log, pool)


def main() -> None:
    """Teachers, what methods need, then everything that is asked for."""
    args = parse_args()
    from data import prepare

    args.work_dir.mkdir(parents=True, exist_ok=True)
    prepare(args.work_dir / 'data')
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        train_teachers(args.tasks, args.work_dir, pool)
        jobs = plan(args)
        for task, method in sorted({(job['task'], job['method']) for job in jobs}):
            if method != 'student':
                make_files(task, method, args.work_dir)
        run_all(jobs, partial(train, folder=args.work_dir), args.out, pool)


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.environ['PYTHONPATH'] = str(ROOT)
    main()
