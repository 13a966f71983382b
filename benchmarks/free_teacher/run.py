#!/usr/bin/env python3
"""What a teacher costs: step times of the demo's digits against plain training.

All variants take turns in one process, a step each with its loading of data, and every
step is compared with the plain one of the same turn: the ratio is the median of these.
The loss of a variant is compared with the exact one on the same views, for the student
that the last variant has trained.

    python benchmarks/free_teacher/run.py --out benchmarks/free_teacher/digits.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import runpy
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

import mmkd  # noqa: F401
from mmkd.build import build_runner, read_config

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'demo'))
import tuned  # noqa: E402

VIEWS = 4
OPTIONS: dict[str, dict[str, Any]] = {
    'as it is': {},
    'fold_bn': dict(fold_bn=True),
    'channels_last': dict(channels_last=True),
    'fold_bn, channels_last': dict(fold_bn=True, channels_last=True),
    'bfloat16': dict(dtype='bfloat16'),
    'every=4': dict(every=4),
}
FORMS = {'float32': [], 'float16': ['--dtype', 'float16'], 'top 3': ['--top-k', '3']}


def prepare(work: Path, epochs: int) -> None:
    """Images, a teacher, recordings."""
    from data import prepare as draw

    os.environ['DEMO_DATA'] = str(draw(work / 'data'))
    if not (work / 'teacher.pth').is_file():
        config = read_config(tuned.config_of('cls', 'teacher'))
        config.update(work_dir=str(work / 'run'), log_level='WARNING')
        config.train_cfg.update(max_epochs=epochs, val_interval=epochs)
        runner = build_runner(config)
        runner.train()
        torch.save(dict(state_dict=runner.model.state_dict()), work / 'teacher.pth')
    record = runpy.run_path(str(ROOT / 'tools' / 'record_teacher.py'))['main']
    for name, options in FORMS.items():
        words = [str(tuned.config_of('cls', 'student')), str(folder_of(name, work))]
        words += ['--views', str(VIEWS), *options]
        words += tuned.arguments('cls', 'kd', work / 'teacher.pth')
        record([*words, *tuned.spelt(tuned.options('cls', 'kd'))])


def folder_of(form: str, work: Path) -> Path:
    """Where a recording lies."""
    return work / form.replace(' ', '_')


def variants(work: Path) -> dict[str, Config]:
    """Name -> config."""
    made = {'plain': read_config(tuned.config_of('cls', 'student'))}
    for name, options in OPTIONS.items():
        made[name] = tuned.distilled('cls', 'kd', work / 'teacher.pth')
        made[name].model.teacher_options = options
    for name in FORMS:
        file = folder_of(name, work) / 'student_kd_recorded.py'
        made[f'recorded, {name}'] = read_config(file)
    return made


class Variant:
    """A model that is trained step by step."""

    def __init__(self, config: Config) -> None:
        torch.manual_seed(0)
        config.model.setdefault('data_preprocessor', config.data_preprocessor)
        self.model = MODELS.build(config.model)
        self.model.init_weights()
        self.model.train()
        self.loader = Runner.build_dataloader(config.train_dataloader, seed=0)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        from mmengine.optim import OptimWrapper

        self.optimizer = OptimWrapper(optimizer)
        self.batches = self._endless()

    def _endless(self) -> Iterator[Any]:
        epoch = 0
        while True:
            self.loader.sampler.set_epoch(epoch)
            yield from self.loader
            epoch += 1

    def step(self) -> float:
        """Seconds of one training step, with the loading of its batch."""
        start = time.perf_counter()
        self.model.train_step(next(self.batches), self.optimizer)
        return time.perf_counter() - start


def measure(made: dict[str, Variant], steps: int) -> dict[str, dict[str, float]]:
    """Milliseconds and the ratio to plain training."""
    from mmengine.logging import MessageHub

    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', steps)
    times: dict[str, list[float]] = {name: [] for name in made}
    for step in range(steps):
        hub.update_info('iter', step)
        for name, variant in made.items():
            times[name].append(variant.step())
    kept = {name: values[len(values) // 10 :] for name, values in times.items()}
    found = {}
    for name, values in kept.items():
        ratios = [a / b for a, b in zip(values, kept['plain'])]
        average = sum(values) / sum(kept['plain'])  # of steps that are not all alike
        quartiles = statistics.quantiles(ratios, n=4)
        found[name] = dict(
            ms=statistics.median(values) * 1000,
            ratio=average if name.startswith('every') else statistics.median(ratios),
            quartiles=[quartiles[0], quartiles[2]],
        )
    return found


def compare(made: dict[str, Variant]) -> dict[str, float]:
    """Name -> mean relative error of the KD loss on the recorded views."""
    from mmengine.logging import MessageHub

    MessageHub.get_current_instance().update_info('iter', 0)
    *_, last = made.values()
    state = last.model.student.state_dict()
    last.loader.sampler.set_epoch(0)
    batches = list(last.loader)
    losses: dict[str, list[float]] = {}
    for name, variant in made.items():
        if name == 'plain':
            continue
        variant.model.student.load_state_dict(state)
        variant.model.eval()  # the student's BatchNorms stay as they are
        losses[name] = []
        for batch in batches:
            with torch.no_grad():
                data = variant.model.data_preprocessor(batch, True)
                values = variant.model(**data, mode='loss')
            losses[name].append(float(values['raw_kd']))
    exact = losses['as it is']
    return {
        name: sum(abs(a - b) / b for a, b in zip(values, exact)) / len(exact)
        for name, values in losses.items()
    }


def main() -> None:
    """Prepare, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--work', type=Path, default=Path('demo_runs/free_teacher'))
    parser.add_argument('--steps', type=int, default=200)
    parser.add_argument('--epochs', type=int, default=8, help='of the teacher')
    args = parser.parse_args()
    torch.set_num_threads(1)
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    prepare(work, args.epochs)
    init_default_scope('mmpretrain')
    made = {name: Variant(config) for name, config in variants(work).items()}
    found = measure(made, args.steps)
    for name, error in compare(made).items():
        found[name]['error'] = error
    content = dict(
        command=f'python benchmarks/free_teacher/run.py --steps {args.steps} '
        f'--epochs {args.epochs}',
        machine=f'{platform.machine()}, one thread, torch {torch.__version__}',
        variants=found,
    )
    args.out.write_text(json.dumps(content, indent=1) + '\n')
    for name, row in found.items():
        error = f'{row["error"]:10.2g}' if 'error' in row else ''
        print(f'{name:24} {row["ms"]:7.1f} ms {row["ratio"]:6.2f} {error}')


if __name__ == '__main__':
    main()
