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
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs' / 'demo'
METHODS = ROOT / 'configs' / '_base_' / 'methods'
LEFT = re.compile(r'eta: ([\d:]+)')
PROGRESS = 'progress.json'


@dataclass(frozen=True)
class Task:
    """What is trained, and how well it does.

    Args:
        title: What a user reads.
        metric: Its name on the screen, and as mmengine logs it.
        percent: What makes it per cent.
    """

    title: str
    metric: tuple[str, str]
    percent: float = 1.0


TASKS = dict(
    cls=Task('classification, ResNet', ('accuracy', 'accuracy/top1')),
    det=Task('detection, Faster R-CNN', ('box AP', 'coco/bbox_mAP'), 100),
    ins=Task('instance segmentation, Mask R-CNN', ('mask AP', 'coco/segm_mAP'), 100),
    seg=Task('semantic segmentation, PSPNet', ('mIoU', 'mIoU')),
)


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
        names = {file.stem for file in (CONFIGS / task).glob('[a-z]*.py')}
        methods = sorted(names - {'student', 'teacher'})
        if args.method not in methods:
            parser.error(
                f"--method {args.method}: for '{task}' there are {', '.join(methods)}"
            )
    return args


@dataclass
class Stage:
    """One training run, which can be stopped and taken up again."""

    name: str
    task: str
    folder: Path
    options: dict[str, Any]
    env: dict[str, str]
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """Its config file."""
        name = 'student' if self.name == 'baseline' else self.name
        return CONFIGS / self.task / f'{name}.py'

    def load(self) -> None:
        """Take up the state of an earlier run, unless it was of other settings."""
        digest = hashlib.sha256(json.dumps(self.options, default=str).encode())
        folders = ('det', 'ins') if self.task == 'ins' else (self.task,)  # its base
        names = ('_data', 'student', 'teacher', self.config.stem)
        files = [
            CONFIGS / folder / f'{name}.py' for folder in folders for name in names
        ]
        files += sorted(METHODS.rglob(f'{self.config.stem}*.py'))
        for file in filter(Path.is_file, files):
            digest.update(file.read_bytes())
        key = digest.hexdigest()
        try:
            self.state = json.loads((self.folder / PROGRESS).read_text())
        except (OSError, ValueError):
            self.state = {}
        if self.state.get('key') != key:
            if self.state:
                print(f'{self.name}: the settings are new, so it starts anew')
            shutil.rmtree(self.folder, ignore_errors=True)
            self.state = dict(key=key, epoch=0, result=0.0, seconds=0.0, done=False)
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, **news: Any) -> None:
        """Note what was reached, in a file that is whole at any moment."""
        self.state.update(news)
        part = self.folder / f'{PROGRESS}.part'
        part.write_text(json.dumps(self.state))
        os.replace(part, self.folder / PROGRESS)

    @property
    def checkpoint(self) -> Path:
        """Of the last epoch that was validated; a later one is done again."""
        return self.folder / f'epoch_{self.state["epoch"]}.pth'

    def command(self, tool: str, *more: str) -> list[str]:
        """What a user would type."""
        options = [f'{key}={value}' for key, value in self.options.items()]
        first = [str(ROOT / 'tools' / tool), str(self.config), *more]
        return [*first, '--cfg-options', *options]

    def run(self, title: str) -> None:
        """Train, or go on training, with one line of progress per validation."""
        task = TASKS[self.task]
        self.load()
        if self.state['done']:
            print(f'{title}: {self.state["result"]:.1f} (done before)')
            return
        again = f', going on after epoch {self.state["epoch"]}'
        print(f'{title}{again if self.state["epoch"] else ""}', flush=True)
        if self.config.stem == 'letkd':
            show("      the codebook of the teacher's features")
            self.listen(self.command('build_codebook.py'))
        resume = ['--resume', str(self.checkpoint)] if self.state['epoch'] else []
        self.listen(
            self.command('train.py', '--work-dir', str(self.folder), *resume),
            re.compile(rf'Epoch\(val\)\s+\[(\d+)\].*{task.metric[1]}: ([\d.]+)'),
        )
        if not self.state['epoch']:
            sys.exit(f'demo: {self.name} was never validated; whole log: {self.log}')
        self.save(done=True)

    @property
    def log(self) -> Path:
        """Everything that the tools print."""
        return self.folder / 'train.log'

    def listen(
        self, command: list[str], validated: re.Pattern[str] | None = None
    ) -> None:
        """Run a tool; keep what it prints, show what a user wants to see of it."""
        task = TASKS[self.task]
        before, start = self.state['seconds'], time.monotonic()
        tail: deque[str] = deque(maxlen=20)
        left = ''
        with self.log.open('a') as sink, child(command, self.env) as process:
            for line in process.stdout:
                sink.write(line)
                tail.append(line)
                left = LEFT.findall(line)[-1] if LEFT.search(line) else left
                found = validated.search(line) if validated else None
                if found:
                    epoch, result = int(found[1]), float(found[2]) * task.percent
                    seconds = before + time.monotonic() - start
                    self.save(epoch=epoch, result=result, seconds=seconds)
                    show(
                        f'      epoch {epoch:2d}  {task.metric[0]} {result:5.1f}'
                        f'  {left} to go'
                    )
        if sys.stdout.isatty():
            print()
        if process.returncode:
            sys.exit(
                f'{"".join(tail)}\ndemo: {self.name} failed; whole log: {self.log}'
            )
        self.save(seconds=before + time.monotonic() - start)


def show(text: str) -> None:
    """One line that is written over, or lines, where the output is not a terminal."""
    tty = sys.stdout.isatty()
    print(f'\r\033[K{text}' if tty else text, end='' if tty else '\n', flush=True)


@contextlib.contextmanager
def child(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program and do not leave it behind."""
    env = dict(os.environ, **env, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')
    env.setdefault('OMP_NUM_THREADS', '2')  # such small networks do not fill more
    process = subprocess.Popen(
        [sys.executable, '-u', *command],
        env=env,
        text=True,
        errors='replace',
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


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
    env = dict(
        DEMO_DATA=str(data),
        DEMO_CODEBOOK=str(home / args.method / 'codebook.pth'),
    )
    return [
        Stage(name, task, home / name, dict(options), env)
        for name in ('teacher', 'baseline', args.method)
    ]


def run_task(args: argparse.Namespace, task: str, data: Path) -> None:
    """Train what is not trained yet, and report."""
    print(f'\n{TASKS[task].title}')
    teacher, baseline, distilled = stages = make_stages(args, task, data)
    for number, stage in enumerate(stages, 1):
        if stage is distilled and stage.name != 'frskd':  # which teaches itself
            stage.options['model.teacher_ckpt'] = teacher.checkpoint
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
    with log.open('w') as sink, child(command, teacher.env) as process:
        sink.writelines(process.stdout)
    if process.returncode:
        sys.exit(f'\ndemo: the report failed; whole log: {log}')
    show(f'The report: {os.path.relpath(out / "report.html")}')
    if sys.stdout.isatty():
        print()


def count_parameters(stage: Stage) -> int:
    """Of the network itself; what BatchNorm counts along is not learned."""
    with contextlib.redirect_stderr(io.StringIO()):  # warnings of torch's own
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
