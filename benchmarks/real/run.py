#!/usr/bin/env python3
"""The methods on CIFAR-10 and CamVid with their usual weights; wants a GPU.

The students and teachers are in configs/; every method is put
on top as `tools/train.py --method` does it, and nothing is tuned. Each run is one line
of results.jsonl; what is there already is not run again.

    python benchmarks/real/run.py --cifar10 train.npz test.npz --camvid camvid.tar
    python benchmarks/embedded/summarize.py --logs benchmarks/real
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

CONFIGS = HERE / 'configs'
METHODS = ('student', 'kd', 'cwd', 'cwt', 'sakd', 'frskd', 'letkd')
METRICS = dict(cifar10='accuracy/top1', camvid='mIoU')
CLASSES = dict(cifar10=10, camvid=11)
# How many images, and positions in each, letKD's codebook is made of.
CODEBOOK = dict(cifar10=(10000, 16), camvid=(367, 100))
TEMPLATES = 1024


def parse_args() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--tasks', nargs='+', choices=METRICS, default=list(METRICS))
    add('--methods', nargs='+', choices=METHODS, default=list(METHODS))
    add('--seeds', nargs='+', type=int, default=[0, 1, 2])
    add('--workers', type=int, default=1, help='runs at a time on the GPU')
    add('--work-dir', type=Path, default=Path('work_dirs/real'))
    add('--cifar10', nargs=2, type=Path, help='archives, see data.py; once')
    add('--camvid', type=Path, help='likewise')
    add('--out', type=Path, default=HERE / 'results.jsonl')
    args = parser.parse_args()
    args.work_dir = args.work_dir.resolve()
    return args


def prepare(args: argparse.Namespace) -> None:
    """Unpack the data that is asked for and not there."""
    from data import prepare_camvid, prepare_cifar10

    for task, make in (('cifar10', prepare_cifar10), ('camvid', prepare_camvid)):
        folder, given = args.work_dir / 'data' / task, getattr(args, task)
        if task not in args.tasks or folder.is_dir():
            continue
        if not given:
            raise SystemExit(f'{folder} is not there: give --{task}, see data.py')
        part = folder.with_suffix('.part')
        make(given, part)
        os.replace(part, folder)


def train(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train and test one model; return the job with what came out."""
    import torch

    from mmkd.build import read_config
    from mmkd.mixin import distill

    torch.set_num_threads(1)
    os.environ['REAL_DATA'] = str(folder / 'data')
    task, method = job['task'], job['method']
    teacher, weights = CONFIGS / f'{task}_teacher.py', folder / f'{task}_teacher.pth'
    if method == 'teacher':
        config = read_config(teacher)
        return dict(job, **fit(config, job, METRICS[task], folder, weights))
    config = read_config(CONFIGS / f'{task}.py')
    if method == 'frskd':
        config = distill(config, method)
    elif method != 'student':
        config = distill(config, method, teacher, str(weights))
    if method == 'letkd':
        layers = config.model.student.layers
        layers.intermediate.templates = 8 * CLASSES[task]
        layers.penultimate.templates = TEMPLATES
        for term in config.model.terms.values():
            term.loss.codebook = str(folder / f'{task}_codebook.pth')
    return dict(job, **fit(config, job, METRICS[task], folder))


def make_codebook(task: str, folder: Path) -> None:
    """The offline part of letKD."""
    images, positions = CODEBOOK[task]
    command = [sys.executable, ROOT / 'tools' / 'build_codebook.py']
    command += [CONFIGS / f'{task}_teacher.py', folder / f'{task}_codebook.pth']
    command += ['--checkpoint', folder / f'{task}_teacher.pth']
    command += ['--intermediate', 'backbone.layer4.0', '--templates', TEMPLATES]
    command += ['--images', images, '--positions', positions]
    env = dict(os.environ, REAL_DATA=str(folder / 'data'))
    subprocess.run(list(map(str, command)), env=env, check=True)


def run_task(task: str, args: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    """The teacher, the codebook, then everything that is asked for."""
    folder = args.work_dir
    job = partial(train, folder=folder)
    if not (folder / f'{task}_teacher.pth').is_file():
        log = HERE / 'teachers.jsonl'
        kept = [row for row in read(log) if row['task'] != task]
        log.write_text(''.join(json.dumps(row) + '\n' for row in kept))
        run_all([dict(task=task, method='teacher', seed=0)], job, log, pool)
    if 'letkd' in args.methods and not (folder / f'{task}_codebook.pth').is_file():
        make_codebook(task, folder)
    jobs = [
        dict(task=task, method=method, seed=seed)
        for seed in args.seeds
        for method in args.methods
    ]
    run_all(jobs, job, args.out, pool)


def main() -> None:
    """Task by task."""
    args = parse_args()
    prepare(args)
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        for task in args.tasks:
            run_task(task, args, pool)


if __name__ == '__main__':
    os.environ['PYTHONPATH'] = str(ROOT)
    main()
