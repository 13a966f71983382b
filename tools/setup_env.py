#!/usr/bin/env python3
"""Prepare an isolated environment for mmkd: ``make test`` and ``make demo`` call it.

It makes a virtual environment, installs one of the two supported stacks into it,
and compiles mmcv with its operators, which no package index offers ready-made.
The compiled wheel is kept outside the checkout, so that it is built once per
(mmcv, torch, Python, device). A finished environment is recognised and left alone.

    python tools/setup_env.py --stack openmmlab --venv .venv
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD_TOOLS = ['setuptools==80.9.0', 'wheel', 'ninja', 'psutil']


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--stack',
        choices=('openmmlab', 'onedl'),
        default='openmmlab',
        help='the official packages (default) or the maintained forks',
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


def pip(python: Path, *args: str) -> None:
    command = [str(python), '-m', 'pip', '--disable-pip-version-check', *args]
    if subprocess.run(command).returncode:
        sys.exit(
            f'setup: this failed: {" ".join(command)}\n'
            'Run the same make command again after mending the cause above; '
            'what is already done is kept.'
        )


def device_tag(python: Path) -> str:
    """'cpu', or the CUDA version that operators will be compiled for."""
    code = 'import torch; print(torch.cuda.is_available() and torch.version.cuda or "")'
    cuda = subprocess.run(
        [str(python), '-c', code], capture_output=True, text=True, check=True
    ).stdout.strip()
    if cuda and not shutil.which('nvcc'):
        say(
            '  A GPU is here but no nvcc: mmcv operators are compiled for the CPU only.'
        )
        cuda = ''
    return f'cu{cuda.replace(".", "")}' if cuda else 'cpu'


def build_mmcv(python: Path, pin: str, torch_pin: str, cache: Path, jobs: int) -> Path:
    """Return a wheel of mmcv with operators, from the cache or compiled now."""
    device = device_tag(python)
    tag = f'cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}'
    key = '_'.join([pin, torch_pin, tag, device]).replace('==', '-')
    folder = cache / 'wheels' / key
    found = sorted(folder.glob('*.whl'))
    if found:
        say(f'  mmcv: using the wheel compiled before, {found[0]}')
        return found[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, MMCV_WITH_OPS='1', MAX_JOBS=str(jobs))
    env.setdefault('CFLAGS', '-O1 -g0')
    if device == 'cpu':
        env['CUDA_VISIBLE_DEVICES'] = ''
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        command = [
            str(python),
            '-m',
            'pip',
            '--disable-pip-version-check',
            'wheel',
            pin,
            '--no-deps',
            '--no-build-isolation',
            '--no-cache-dir',
            '-v',
            '--no-binary',
            pin.split('==')[0],
            '--wheel-dir',
            temporary,
        ]
        log = Path(temporary) / 'build.log'
        if not run_with_progress(command, env, log):
            kept = cache / f'{key}.log'
            shutil.copy(log, kept)
            tail = '\n'.join(log.read_text(errors='replace').splitlines()[-25:])
            sys.exit(
                f'{tail}\nsetup: compiling {pin} failed; whole log: {kept}\n'
                'A C++ compiler (g++) and the Python headers are needed.'
            )
        log.unlink()
        try:
            Path(temporary).rename(folder)  # atomic: a half-built wheel is never found
        except OSError:
            pass  # another process finished the same wheel first
        else:
            Path(temporary).mkdir()  # for the context manager to remove
    return sorted(folder.glob('*.whl'))[0]


def run_with_progress(command: list[str], env: dict[str, str], log: Path) -> bool:
    """Run the build, its output into ``log``, ninja's '[i/n]' as a progress bar."""
    tty, shown, start = sys.stdout.isatty(), -1, time.time()
    with (
        log.open('w') as sink,
        subprocess.Popen(
            command,
            env=env,
            text=True,
            errors='replace',
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            sink.write(line)
            step = re.search(r'\[(\d+)/(\d+)\]', line)
            if step is None:
                continue
            done, total = map(int, step.groups())
            percent = 100 * done // max(total, 1)
            if percent // (1 if tty else 10) == shown:
                continue
            shown = percent // (1 if tty else 10)
            bar = '#' * (percent // 4) + '.' * (25 - percent // 4)
            text = (
                f'  compiling mmcv [{bar}] {done}/{total} files, '
                f'{(time.time() - start) / 60:.1f} min'
            )
            print(f'\r{text}' if tty else text, end='' if tty else '\n', flush=True)
    if tty:
        print()
    return process.returncode == 0


def main() -> None:
    args = parse_args()
    if sys.version_info < (3, 9):
        sys.exit(
            'setup: Python 3.9 or newer is needed; '
            'choose one with PYTHON=python3.11 make …'
        )
    pins = read_pins(ROOT / 'requirements' / f'{args.stack}.txt')
    dev = read_pins(ROOT / 'requirements' / 'dev.txt')
    venv: Path = args.venv.absolute()
    python = venv / 'bin' / 'python'
    mark = venv / '.mmkd-ready'
    state = hashlib.sha256(
        '\n'.join([*pins, *dev, sys.version, str(ROOT)]).encode()
    ).hexdigest()
    if mark.is_file() and mark.read_text() == state and python.exists():
        return
    say(
        f'Preparing {venv.name} with the {args.stack} stack '
        '(once; 5 to 15 minutes on two cores, about 6 GB)'
    )
    mark.unlink(missing_ok=True)
    if not python.exists():
        subprocess.run([sys.executable, '-m', 'venv', str(venv)], check=True)

    torch = [pin for pin in pins if re.match(r'torch(vision)?==', pin)]
    mmcv = next(pin for pin in pins if re.match(r'(onedl-)?mmcv==', pin))
    numpy = [pin for pin in pins if pin.startswith('numpy')]
    say(f'[1/4] {" and ".join(torch)}')
    pip(python, 'install', '-q', *BUILD_TOOLS, *torch, *numpy)
    say(f'[2/4] {mmcv} with operators')
    wheel = build_mmcv(python, mmcv, torch[0], args.cache, args.jobs)
    say('[3/4] the other packages')
    rest = [pin for pin in pins if pin != mmcv]
    pip(python, 'install', '-q', *rest, str(wheel), *dev)
    say('[4/4] mmkd itself, in place')
    pip(python, 'install', '-q', '--no-deps', '--no-build-isolation', '-e', str(ROOT))
    mark.write_text(state)
    say(f'Ready: {venv.name}')


if __name__ == '__main__':
    main()
