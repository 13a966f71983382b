#!/usr/bin/env python3
"""The demo: a teacher, a small student, and the student taught by the teacher.

Real training with mmengine's Runner, through tools/train.py, on images that
scikit-learn brings along; nothing is downloaded. Interrupt it when you like: the same
command goes on where it was.

    python demo/run.py
    python demo/run.py --method cwt --seed 1
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
EPOCH = re.compile(r'Epoch\(val\)\s+\[(\d+)\].*accuracy/top1: ([\d.]+)')
LEFT = re.compile(r'eta: ([\d:]+)')
PROGRESS = 'progress.json'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--method',
        choices=('kd', 'cwd', 'cwt'),
        default='kd',
        help='how the teacher teaches (default: kd)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('demo_runs'),
        help='where everything goes (default: ./demo_runs)',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='two epochs each: shows that everything runs, and no more',
    )
    return parser.parse_args(argv)


@dataclass
class Stage:
    """One training run, which can be stopped and taken up again."""

    name: str
    config: Path
    folder: Path
    options: dict[str, Any]
    state: dict[str, Any] = field(default_factory=dict)

    def load(self) -> None:
        """Take up the state of an earlier run, unless it was of other settings."""
        digest = hashlib.sha256(json.dumps(self.options, default=str).encode())
        names = ('_digits', 'student', 'teacher', self.config.stem)
        fragment = f'../_base_/methods/{self.config.stem}_cls.py'
        for file in (*(CONFIGS / f'{name}.py' for name in names), CONFIGS / fragment):
            digest.update(file.read_bytes() if file.is_file() else b'')
        key = digest.hexdigest()
        try:
            self.state = json.loads((self.folder / PROGRESS).read_text())
        except (OSError, ValueError):
            self.state = {}
        if self.state.get('key') != key:
            if self.state:
                print(f'{self.name}: the settings are new, so it starts anew')
            shutil.rmtree(self.folder, ignore_errors=True)
            self.state = dict(key=key, epoch=0, accuracy=0.0, seconds=0.0, done=False)
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

    @property
    def command(self) -> list[str]:
        """What a user would type."""
        options = [f'{key}={value}' for key, value in self.options.items()]
        return [
            str(ROOT / 'tools' / 'train.py'),
            str(self.config),
            '--work-dir',
            str(self.folder),
            *(['--resume', str(self.checkpoint)] if self.state['epoch'] else []),
            '--cfg-options',
            *options,
        ]

    def run(self, title: str) -> None:
        """Train, or go on training, with one line of progress per epoch."""
        self.load()
        if self.state['done']:
            print(f'{title}: {self.state["accuracy"]:.1f} % (done before)')
            return
        again = f', going on after epoch {self.state["epoch"]}'
        print(f'{title}{again if self.state["epoch"] else ""}', flush=True)
        before, start = self.state['seconds'], time.monotonic()
        tail: deque[str] = deque(maxlen=20)
        left = ''
        log = self.folder / 'train.log'
        with log.open('a') as sink, child(self.command) as process:
            for line in process.stdout:
                sink.write(line)
                tail.append(line)
                left = LEFT.findall(line)[-1] if LEFT.search(line) else left
                found = EPOCH.search(line)
                if found:
                    seconds = before + time.monotonic() - start
                    epoch, accuracy = int(found[1]), float(found[2])
                    self.save(epoch=epoch, accuracy=accuracy, seconds=seconds)
                    show(f'      epoch {epoch:2d}  {accuracy:5.1f} %  {left} to go')
        if sys.stdout.isatty():
            print()
        if process.returncode or not self.state['epoch']:
            sys.exit(f'{"".join(tail)}\ndemo: {self.name} failed; whole log: {log}')
        self.save(done=True)


def show(text: str) -> None:
    """One line that is written over, or lines, where the output is not a terminal."""
    tty = sys.stdout.isatty()
    print(f'\r{text}' if tty else text, end='' if tty else '\n', flush=True)


@contextlib.contextmanager
def child(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program and do not leave it behind."""
    env = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')
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


def make_stages(args: argparse.Namespace, data: Path) -> list[Stage]:
    """Teacher, baseline and distilled student, all with the same data and schedule."""
    home = args.work_dir / f'{"quick_" if args.quick else ""}seed{args.seed}'
    options: dict[str, Any] = {'randomness.seed': args.seed}
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options[f'{loader}.dataset.data_root'] = data
    if args.quick:
        options['train_cfg.max_epochs'] = 2
    names = {'teacher': 'teacher', 'baseline': 'student', args.method: args.method}
    return [
        Stage(name, CONFIGS / f'{config}.py', home / name, dict(options))
        for name, config in names.items()
    ]


def report(teacher: Stage, baseline: Stage, distilled: Stage) -> None:
    """The three side by side."""
    print(f'\n{"":24s}accuracy  parameters    time')
    labels = ('teacher', 'student alone', f'student with {distilled.name}')
    for label, stage in zip(labels, (teacher, baseline, distilled)):
        print(
            f'{label:24s}{stage.state["accuracy"]:6.1f} %'
            f'{count_parameters(stage):12,d}{stage.state["seconds"]:6.0f} s'
        )
    top, low, reached = (
        stage.state['accuracy'] for stage in (teacher, baseline, distilled)
    )
    gain = f'{reached - low:+.1f} points'
    if top > low:
        gain += f', {(reached - low) / (top - low):.0%} of the gap to the teacher'
    print(f'\n{distilled.name}: {gain}')
    student = os.path.relpath(distilled.folder / 'student_last.pth')
    print(f'The student alone, for use without mmkd: {student}')
    print(f'  python tools/test.py configs/demo/student.py {student}')


def count_parameters(stage: Stage) -> int:
    """Of the network itself; what BatchNorm counts along is not learned."""
    with contextlib.redirect_stderr(io.StringIO()):  # warnings of torch's own
        from mmkd.checkpoint import read_weights

    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    weights = read_weights(stage.checkpoint)
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
    """Train what is not trained yet, and report."""
    args = parse_args(argv)
    args.work_dir = args.work_dir.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell lets what it starts in the background ignore this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with alone(args.work_dir):
        from digits import prepare  # scikit-learn, which the demo alone needs

        data = prepare(args.work_dir / 'digits')
        teacher, baseline, distilled = stages = make_stages(args, data)
        try:
            for number, stage in enumerate(stages, 1):
                if stage is distilled:
                    stage.options['model.teacher_ckpt'] = teacher.checkpoint
                stage.run(f'[{number}/3] {stage.name}')
        except KeyboardInterrupt:
            sys.exit('\nInterrupted. The same command goes on from here.')
        report(teacher, baseline, distilled)


if __name__ == '__main__':
    main()
