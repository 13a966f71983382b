#!/usr/bin/env python3
"""The demo: a teacher, a small student, and the student taught by the teacher.

Real training with mmengine's Runner, through tools/train.py, on data made of images
that scikit-learn brings along; nothing is downloaded. Interrupt it when you like: the
same command goes on where it was. It ends with a table and a report to open.

    python demo/run.py
    python demo/run.py --task det --method cwd --seed 1
    python demo/run.py --task all
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tuned
from stage import ROOT, TASKS, Stage, child, show


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        '--task',
        choices=(*TASKS, 'all'),
        default='cls',
        help='; '.join(f'{name}: {task.title}' for name, task in TASKS.items())
        + ' (default: cls)',
    )
    add('--method', default='cwt', help='how the teacher teaches (default: cwt)')
    add('--seed', type=int, default=0, help='(default: 0)')
    add(
        '--work-dir',
        type=Path,
        default=Path('demo_runs'),
        help='where everything goes (default: ./demo_runs)',
    )
    add(
        '--quick',
        action='store_true',
        help='a few epochs each: shows that everything runs',
    )
    args = parser.parse_args(argv)
    args.tasks = list(TASKS) if args.task == 'all' else [args.task]
    for task in args.tasks:
        offered = tuned.methods(task)
        if args.method not in offered:
            parser.error(
                f"--method {args.method}: for '{task}' there are {', '.join(offered)}"
            )
    return args


def make_stages(args: argparse.Namespace, task: str, data: Path) -> list[Stage]:
    """Teacher, baseline and distilled student, with the same data."""
    seed = f'{"quick_" if args.quick else ""}seed{args.seed}'
    home = args.work_dir / seed / task
    options: dict[str, Any] = {'randomness.seed': args.seed}
    if args.quick:
        epochs = 6 if task == 'cls' else 2
        options.update({'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': 1})
        options['default_hooks.checkpoint.interval'] = 1
        if task == 'cls':
            options.update({'param_scheduler.0.end': 1, 'param_scheduler.1.begin': 1})
            options.update({'param_scheduler.1.end': 6, 'param_scheduler.1.T_max': 5})
        else:
            options['train_dataloader.dataset.indices'] = 48
    teacher, baseline, distilled = (
        Stage(name, task, home / name, dict(options), data)
        for name in ('teacher', 'baseline', args.method)
    )
    distilled.options.update(tuned.options(task, args.method))
    distilled.files = tuned.files(args.method, distilled.folder)
    return [teacher, baseline, distilled]


def run_task(args: argparse.Namespace, task: str, data: Path) -> None:
    """Train what is not trained yet, and report."""
    print(f'\n{TASKS[task].title}')
    teacher, baseline, distilled = stages = make_stages(args, task, data)
    for number, stage in enumerate(stages, 1):
        if stage is distilled:
            weights = teacher.checkpoint
            stage.arguments = tuned.arguments(task, stage.name, weights)
        stage.run(f'[{number}/3] {stage.name}')
    summarize(teacher, baseline, distilled)
    write_report(teacher, baseline, distilled)


def summarize(teacher: Stage, baseline: Stage, distilled: Stage) -> None:
    """The three side by side."""
    metric = TASKS[teacher.task].metric[0]
    print(f'\n{"":24s}{metric:>8s}  parameters    time')
    labels = ('teacher', 'student alone', f'student with {distilled.name}')
    for label, stage in zip(labels, (teacher, baseline, distilled)):
        print(
            f'{label:24s}{stage.state["result"]:8.1f}'
            f'{count_parameters(stage):12,d}{stage.state["seconds"]:6.0f} s'
        )
    top, low, reached = (
        stage.state['result'] for stage in (teacher, baseline, distilled)
    )
    gain = f'{reached - low:+.1f} points'
    if top > low:
        gain += f', {(reached - low) / (top - low):.0%} of the gap to the teacher'
    print(f'\n{distilled.name}: {gain}')
    student = os.path.relpath(distilled.folder / 'student_last.pth')
    print(f'The student alone, for use without mmkd: {student}')


def write_report(*stages: Stage) -> None:
    """Curves, similarities, pictures: one page to open."""
    teacher, baseline, distilled = stages
    out = distilled.folder.parent / f'report_{distilled.name}'
    command = [str(ROOT / 'tools' / 'report.py'), '--out', str(out)]
    command += [str(stage.folder) for stage in stages]
    log = out.with_suffix('.log')
    show('Writing the report')
    with log.open('w') as sink, child(command, teacher.data) as process:
        sink.writelines(process.stdout)
    if process.returncode:
        sys.exit(f'\ndemo: the report failed; whole log: {log}')
    show(f'The report: {os.path.relpath(out / "report.html")}')
    if sys.stdout.isatty():
        print()


def count_parameters(stage: Stage) -> int:
    """Of the network itself; what BatchNorm counts along is not learned."""
    from mmkd.checkpoints.read import read_weights

    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    student = stage.folder / 'student_last.pth'
    weights = read_weights(student if student.is_file() else stage.checkpoint)
    return sum(w.numel() for key, w in weights.items() if not key.endswith(statistics))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse to run beside another demo in the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f'demo: another one is at work in {folder}: give --work-dir')
        yield


def main(argv: list[str] | None = None) -> None:
    """Run the tasks that are asked for."""
    args = parse_args(argv)
    args.work_dir = args.work_dir.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell lets what it starts in the background ignore this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with alone(args.work_dir):
        from data import prepare  # scikit-learn, which the demo alone needs

        try:
            data = prepare(args.work_dir / 'data')
            for task in args.tasks:
                run_task(args, task, data)
        except KeyboardInterrupt:
            sys.exit('\nInterrupted. The same command goes on from here.')


if __name__ == '__main__':
    main()
