#!/usr/bin/env python3
"""Prepare an isolated environment for mmkd: ``make test`` and ``make demo`` call it.

It makes a virtual environment, installs one of the two supported stacks into it,
and compiles mmcv with its operators, which no package index offers ready-made.
The compiled wheel is kept outside the checkout, so that it is built once per
(mmcv, torch, Python, device). A finished environment is recognised and left alone;
an interrupted one is taken up by the same command. Only Python itself is needed.

    python tools/setup_env.py --stack openmmlab --venv .venv
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD_TOOLS = ['setuptools==80.9.0', 'wheel', 'ninja', 'psutil']
# The Python versions for which the pinned packages exist.
PYTHONS = {
    'openmmlab': ((3, 9), (3, 12)),
    'onedl': ((3, 10), (3, 13)),
    'oldest': ((3, 9), (3, 11)),
    'newest': ((3, 10), (3, 13)),
}
CHECK = 'import torch, torchvision, mmcv.ops, mmpretrain, mmdet, mmseg, mmkd'
ABI = f'cp{sys.version_info.major}{sys.version_info.minor}'
# PyTorch without CUDA, which the usual index does not have for Linux.
CPU_BUILDS = 'https://download.pytorch.org/whl/cpu'
# GB, with CUDA and without: an environment, and what is downloaded to make it. Without,
# torch 2.13 takes 0.7, and all else 0.9.
SIZES = {True: (6, 3), False: (2, 0.5)}
# An installation that was cut short leaves packages of which files are missing, and pip
# takes them for installed: make it forget them.
MEND = """
import importlib.metadata, shutil
for package in importlib.metadata.distributions():
    files = [file for file in package.files or [] if file.suffix != '.pyc']
    sizes = [(file.locate(), file.size) for file in files]
    if not files or not all(
        file.exists() and (size is None or file.stat().st_size == size)
        for file, size in sizes
    ):
        print('  to be installed again, being incomplete:', package.metadata['Name'])
        shutil.rmtree(package._path, ignore_errors=True)
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--stack',
        choices=list(PYTHONS),
        default='openmmlab',
        help='the official packages (default), the maintained forks, the official '
        'packages on the oldest torch, or the newest of everything, each week anew',
    )
    parser.add_argument(
        '--venv',
        type=Path,
        default=ROOT / '.venv',
        help='where the environment goes (default: .venv)',
    )
    parser.add_argument(
        '--cache',
        type=Path,
        default=default_cache(),
        help='where compiled mmcv wheels are kept '
        '(default: $MMKD_CACHE or ~/.cache/mmkd)',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=os.cpu_count() or 1,
        help='compilers to run side by side (default: all cores)',
    )
    return parser.parse_args()


def default_cache() -> Path:
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get('MMKD_CACHE') or Path(base) / 'mmkd')


def say(text: str) -> None:
    print(f'\033[1m{text}\033[0m' if sys.stdout.isatty() else text, flush=True)


def read_pins(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith('#')]


@contextmanager
def lock(file: Path) -> Iterator[None]:
    """Let one process in at a time. The system frees the lock of one that dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('w') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say('  another process is at it: waiting')
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def pip(python: Path, *args: str) -> None:
    command = [str(python), '-m', 'pip', '--disable-pip-version-check', *args]
    env = dict(os.environ, PIP_ROOT_USER_ACTION='ignore')
    code, tail = watch(command, env)
    if code:
        print('\n'.join(tail))
        sys.exit(
            f'setup: this failed: {" ".join(command)}\n'
            'Run the same command again after mending the cause above; '
            'what is already done is kept.'
        )


def watch(
    command: list[str], env: dict[str, str], log: Path = Path(os.devnull)
) -> tuple[int, list[str]]:
    """Run a command that takes long; show that it lives and how far it is.

    The output goes into ``log``, but for errors. Returns exit code and last lines.
    """
    tty, start = sys.stdout.isatty(), time.monotonic()
    due, state, tail = (1 if tty else 30), '', deque[str](maxlen=40)
    with log.open('w') as sink, child(command, env) as lines:
        while (line := lines.get_line(1)) is not None:
            sink.write(line)
            line = line.rstrip()
            if line and not line.startswith("WARNING: Location 'file:"):
                tail.append(line)
            state = read_state(line) or state
            if line.startswith('ERROR'):
                print(f'\r{line}' if tty else line, flush=True)
            if time.monotonic() - start > due:
                due += 1 if tty else 30
                text = f'  {(time.monotonic() - start) / 60:4.1f} min  {state}'[:79]
                print(f'\r{text:79s}' if tty else text, end='' if tty else '\n')
                sys.stdout.flush()
    if tty:
        print(f'\r{"":79s}\r', end='', flush=True)
    return lines.process.returncode, list(tail)


class Lines:
    """The output of a process, line by line, without waiting for ever."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.queue.put(line)
        self.queue.put(None)

    def get_line(self, seconds: float) -> str | None:
        """The next line; '' after ``seconds`` without one; None at the end."""
        try:
            return self.queue.get(timeout=seconds)
        except queue.Empty:
            return ''


@contextmanager
def child(command: list[str], env: dict[str, str]) -> Iterator[Lines]:
    """Start a process, and do not leave it behind."""
    process = subprocess.Popen(
        command,
        env=env,
        text=True,
        errors='replace',
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Lines(process)
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def read_state(line: str) -> str:
    """What a line of pip or ninja tells of the progress."""
    step = re.search(r'\[(\d+)/(\d+)\]', line)
    if step:
        done, total = map(int, step.groups())
        filled = 25 * done // max(total, 1)
        return f'compiling [{"#" * filled:.<25}] {done}/{total} files'
    step = re.match(r'\s*(?:Downloading|Using cached) (\S+)( \(.+\))?', line)
    if step:
        return f'fetching {Path(step[1]).name}{step[2] or ""}'
    return 'installing' if line.startswith('Installing collected') else ''


def gpu_is_here() -> bool:
    return bool(shutil.which('nvidia-smi')) or Path('/dev/nvidiactl').exists()


def without_cuda(pins: list[str], index: str = CPU_BUILDS) -> list[str]:
    """The same versions built for CPUs alone, if there is one of each; else none."""
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        return []  # the usual index has them
    builds = []
    for name, _, version in (pin.partition('==') for pin in pins):
        try:
            with urllib.request.urlopen(f'{index}/{name}/', timeout=10) as page:
                files = urllib.parse.unquote(page.read().decode(errors='replace'))
        except (OSError, HTTPException):  # no network, or none that leads there
            return []
        if f'{name}-{version}+cpu-{ABI}-' not in files:
            return []
        builds.append(f'{name}=={version}+cpu')
    return builds


def check_space(venv: Path, cuda: bool) -> None:
    """End here rather than with a full disk, unless torch is installed already."""
    if any(venv.glob('lib/python*/site-packages/torch')):
        return
    needs: dict[int, tuple[float, list[str]]] = {}
    places = (venv, Path(tempfile.gettempdir()))  # pip downloads to the latter
    for place, size in zip(places, SIZES[cuda]):
        disk = place.stat().st_dev
        total, names = needs.get(disk, (0, []))
        needs[disk] = total + size, [*names, str(place)]
    for need, names in needs.values():
        free = shutil.disk_usage(names[0]).free / 1e9
        if free < need:
            sys.exit(
                f'setup: {need:g} GB are needed and {free:.1f} GB are free, in '
                f'{" and ".join(names)}. Free some, or choose another place for the '
                'environment (make setup VENV=/path) or for temporary files '
                '(TMPDIR=/path).'
            )


def device_tag(python: Path) -> str:
    """'cpu', or the CUDA version that operators will be compiled for."""
    code = 'import torch; print(torch.cuda.is_available() and torch.version.cuda or "")'
    cuda = read(python, '-c', code)
    if cuda and not shutil.which('nvcc'):
        say(
            '  A GPU is here but no nvcc: mmcv operators are compiled for the CPU only.'
        )
        cuda = ''
    return f'cu{cuda.replace(".", "")}' if cuda else 'cpu'


def read(python: Path, *args: str) -> str:
    """What a command of a Python prints; ends the program if it fails."""
    found = subprocess.run([str(python), *args], capture_output=True, text=True)
    if found.returncode:
        sys.exit(f'{found.stderr}\nsetup: this failed: {python} {" ".join(args)}')
    return found.stdout.strip()


def newest(python: Path, name: str) -> str:
    """'name==version', the newest that can be installed."""
    options = ['--dry-run', '--no-deps', '--no-build-isolation', '--ignore-installed']
    command = ['-m', 'pip', '-q', 'install', *options, '--report', '-', name]
    metadata = json.loads(read(python, *command))['install'][0]['metadata']
    return f'{name}=={metadata["version"]}'


def build_mmcv(python: Path, pin: str, torch_pin: str, cache: Path, jobs: int) -> Path:
    """Return a wheel of mmcv with operators, from the cache or compiled now."""
    device = device_tag(python)
    tag = f'{ABI}-{platform.machine()}'
    key = '_'.join([pin, torch_pin, tag, device]).replace('==', '-')
    folder = cache / 'wheels' / key
    with lock(cache / 'locks' / f'{key}.lock'):
        if not any(folder.glob('*.whl')):
            compile_mmcv(python, pin, folder, jobs, device)
        else:
            say('  the wheel compiled before')
    return sorted(folder.glob('*.whl'))[0]


def compile_mmcv(python: Path, pin: str, folder: Path, jobs: int, device: str) -> None:
    """Make ``folder`` with the wheel in it; if that fails there is no such folder."""
    part = folder.with_name(f'{folder.name}.part')
    shutil.rmtree(part, ignore_errors=True)  # of a build that was interrupted
    part.mkdir(parents=True)
    env = dict(os.environ, MMCV_WITH_OPS='1', MAX_JOBS=str(jobs))
    env.setdefault('CFLAGS', '-O1 -g0')
    if device == 'cpu':
        env['CUDA_VISIBLE_DEVICES'] = ''
    if compiler := newer_compiler(python, part):
        env['CXX'] = compiler
    name = pin.split('==')[0]
    options = ['--no-deps', '--no-build-isolation', '--no-cache-dir', '-v']
    options += ['--no-binary', name, '--wheel-dir', str(part)]
    log = folder.with_name(f'{folder.name}.log')
    command = [str(python), '-m', 'pip', '--disable-pip-version-check', 'wheel', pin]
    code, tail = watch([*command, *options], env, log)
    if code:
        print('\n'.join(tail))
        sys.exit(
            f'setup: compiling {pin} failed; whole log: {log}\n'
            'A C++ compiler (g++) and the Python headers are needed.'
        )
    log.unlink()
    (part / 'c++').unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)  # atomic: a half-built wheel is never found


def newer_compiler(python: Path, folder: Path) -> str | None:
    """One for the C++ that torch's headers ask for, where mmcv asks for C++17."""
    headers = read(python, '-c', 'import torch; print(torch.__path__[0])')
    words = (Path(headers) / 'include/ATen/ATen.h').read_text()
    asked = re.search(r'C\+\+(\d+) or later', words)
    if asked is None or int(asked[1]) <= 17:
        return None
    script = folder / 'c++'
    usual = os.environ.get('CXX', 'c++')
    script.write_text(f'#!/bin/sh\nexec {usual} "$@" -std=c++{asked[1]}\n')
    script.chmod(0o755)
    return str(script)


def make_venv(venv: Path) -> None:
    """Make a virtual environment, unless there is a working one of this Python."""
    python = venv / 'bin' / 'python'
    code = 'import sys, pip; print(sys.version)'
    if python.exists():
        found = subprocess.run(
            [str(python), '-c', code], capture_output=True, text=True
        )
        if found.stdout.strip() == sys.version.strip():
            return
    made = subprocess.run(
        [sys.executable, '-m', 'venv', '--clear', str(venv)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        version = f'{sys.version_info.major}.{sys.version_info.minor}'
        sys.exit(
            f'{made.stdout}{made.stderr}\n'
            f'setup: {sys.executable} cannot make a virtual environment. On Debian and '
            f'Ubuntu: apt install python{version}-venv python{version}-dev. Or choose '
            'another Python: make setup PYTHON=/path/to/python3.11'
        )


def prepare(
    args: argparse.Namespace, pins: list[str], dev: list[str], gpu: bool
) -> None:
    """Install everything; what is there already is kept."""
    venv = args.venv
    python = venv / 'bin' / 'python'
    make_venv(venv)
    subprocess.run([str(python), '-c', MEND], check=True)
    torch = [pin for pin in pins if re.match(r'torch(vision)?\b', pin)]
    mmcv = next(pin for pin in pins if re.match(r'(onedl-)?mmcv\b', pin))
    numpy = [pin for pin in pins if pin.startswith('numpy')]
    # Without pins, what an earlier week has installed gives way to what is new.
    new = ('--upgrade',) if args.stack == 'newest' else ()
    index: tuple[str, ...] = ()
    if not (gpu or new) and (builds := without_cuda(torch)):
        torch, index = builds, ('--extra-index-url', CPU_BUILDS)
        say('No GPU here: PyTorch comes without CUDA.')
    check_space(venv, cuda=not index)
    say(f'[1/4] {" and ".join(torch)}')
    pip(python, 'install', *new, *BUILD_TOOLS, *torch, *numpy, *index)
    if new:
        version = 'import importlib.metadata as m; print(m.version("torch"))'
        torch[0] += f'=={read(python, "-c", version)}'
    exact = newest(python, mmcv) if new else mmcv
    say(f'[2/4] {exact} with operators')
    wheel = build_mmcv(python, exact, torch[0], args.cache, args.jobs)
    say('[3/4] the other packages')
    rest = [pin for pin in pins if pin != mmcv]
    pip(python, 'install', *new, *rest, str(wheel), *dev)
    say('[4/4] mmkd itself, in place')
    pip(python, 'install', '--no-deps', '--no-build-isolation', '-e', str(ROOT))
    check = subprocess.run([str(python), '-c', CHECK], capture_output=True, text=True)
    if check.returncode:
        sys.exit(
            f'{check.stderr}\nsetup: {venv} does not work. If an earlier installation '
            'into it was cut short, delete that folder and run the same command again.'
        )


def main() -> None:
    args = parse_args()
    oldest, newest = PYTHONS[args.stack]
    if not oldest <= sys.version_info[:2] <= newest:
        sys.exit(
            f'setup: this is Python {platform.python_version()}; the {args.stack} '
            f'stack has packages for {".".join(map(str, oldest))} to '
            f'{".".join(map(str, newest))}: make setup PYTHON=/path/to/python3.11'
        )
    pins = read_pins(ROOT / 'requirements' / f'{args.stack}.txt')
    dev = read_pins(ROOT / 'requirements' / 'dev.txt')
    week = time.strftime('%G-%V') if args.stack == 'newest' else ''
    gpu = gpu_is_here()
    args.venv = args.venv.absolute()
    mark = args.venv / '.mmkd-ready'
    state = hashlib.sha256(
        '\n'.join([*pins, *dev, sys.version, str(ROOT), week]).encode()
    ).hexdigest()

    def ready() -> bool:
        python = args.venv / 'bin' / 'python'
        made_for = mark.read_text() if mark.is_file() and python.exists() else ''
        return made_for == f'{state} gpu' or (made_for == state and not gpu)

    if ready():
        return
    name = hashlib.sha256(str(args.venv).encode()).hexdigest()[:16]
    with lock(args.cache / 'locks' / f'{name}.lock'):
        if ready():  # the other process was making the same one
            return
        say(
            f'Preparing {args.venv.name} with the {args.stack} stack '
            '(once; about 10 minutes on two cores)'
        )
        if gpu and mark.is_file() and not mark.read_text().endswith('gpu'):
            say('  anew, since it was made on a machine without a GPU')
            shutil.rmtree(args.venv)  # torch or mmcv in it may lack CUDA
        mark.unlink(missing_ok=True)
        prepare(args, pins, dev, gpu)
        mark.write_text(f'{state} gpu' if gpu else state)
        say(f'Ready. To use it: source {os.path.relpath(args.venv)}/bin/activate')


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that pip ends with us
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('\nsetup: interrupted. The same command goes on from here.')
