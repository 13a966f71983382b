"""A training of the demo: the tools that it starts, and how far it came."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuned import config_of, sources, spelt

ROOT = Path(__file__).resolve().parent.parent
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


@dataclass
class Stage:
    """One training run, which can be stopped and taken up again.

    Args:
        name: 'teacher', 'baseline' or a method.
        task: What is trained.
        folder: Its work dir.
        options: Those of ``--cfg-options``.
        data: Where the images are.
        arguments: What the tools are told beside.
        files: What must be made before: see :func:`tuned.files`.
    """

    name: str
    task: str
    folder: Path
    options: dict[str, Any]
    data: Path
    arguments: list[str] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def load(self) -> None:
        """Take up the state of an earlier run, unless it was of other settings."""
        settings = json.dumps([self.options, self.arguments], default=str)
        digest = hashlib.sha256(settings.encode())
        for file in sources(self.task, self.name):
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
        self.save()

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
        config = config_of(
            self.task, 'teacher' if self.name == 'teacher' else 'student'
        )
        first = [str(ROOT / 'tools' / f'{tool}.py'), str(config), *more]
        return [*first, *self.arguments, *spelt(self.options)]

    def run(self, title: str) -> None:
        """Train, or go on training, with one line of progress per validation."""
        task = TASKS[self.task]
        self.load()
        if self.state['done']:
            print(f'{title}: {self.state["result"]:.1f} (done before)')
            return
        again = f', going on after epoch {self.state["epoch"]}'
        print(f'{title}{again if self.state["epoch"] else ""}', flush=True)
        for tool, (file, settings) in self.files.items():
            if not file.is_file():
                show(f'      {tool}: what {self.name} needs before')
                self.listen(self.command(tool, str(file)))
            self.options.update(settings)
        resume = ['--resume', str(self.checkpoint)] if self.state['epoch'] else []
        self.listen(
            self.command('train', '--work-dir', str(self.folder), *resume),
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
        with self.log.open('a') as sink, child(command, self.data) as process:
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
def child(command: list[str], data: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program and do not leave it behind."""
    env = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')
    env['DEMO_DATA'] = str(data)
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
