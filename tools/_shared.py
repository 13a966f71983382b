"""What the tools share before they import mmkd, which takes seconds."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
METHODS = ROOT / 'configs' / '_base_' / 'methods'


def methods() -> list[str]:
    """As ``mmkd.mixin.list_methods``."""
    return sorted(file.stem for file in METHODS.glob('[a-z]*.py'))


def add_config(parser: argparse.ArgumentParser, help: str) -> None:
    """Add the config, what makes a distillation of it, and what changes settings."""
    parser.add_argument(
        'config',
        help=f"{help}; a file, or one of an installed package: 'mmdet::retinanet/"
        "retinanet_r50_fpn_1x_coco.py'",
    )
    _add_method(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='change settings of the config (after --method): --cfg-options '
        'train_cfg.max_epochs=2 model.terms.loss_kd.weight=2 key="[a,b]"',
    )


def _add_method(parser: argparse.ArgumentParser) -> None:
    title = 'distil a config that does not say so itself'
    add = parser.add_argument_group(title).add_argument
    add(
        '--method',
        help="one of the methods below, or a file with 'terms': --method cwd, "
        '--method my_terms.py',
    )
    add(
        '--teacher',
        help='the config of the teacher: --teacher my_teacher.py, or '
        "'mmdet::retinanet/retinanet_r101_fpn_1x_coco.py'",
    )
    add(
        '--teacher-ckpt',
        help="the teacher's weights: a file or an address (or 'random', in a trial): "
        '--teacher-ckpt my_teacher.pth',
    )
    add(
        '--kind',
        help="which form of the method, if not the one that the config's model and "
        'data ask for: --kind cifar',
    )
    add(
        '--pair',
        help='a teacher and a student for which the paper tunes numbers of its own, as '
        "the method's file lists them: --pair resnet32x4_resnet8x4",
    )
    parser.epilog = textwrap.fill(f'Methods: {", ".join(methods())}.', 78)


def check_method(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End where there is something for a method, and no method."""
    for option in ('teacher', 'teacher_ckpt', 'kind', 'pair'):
        if getattr(args, option) and not args.method:
            name = option.replace('_', '-')
            parser.error(f'--{name} needs --method as well, as in --method kd')


def stem(args: argparse.Namespace) -> str:
    """What names a run: its config, and the method that it is told to use."""
    names = [args.config.rpartition('::')[2], *([args.method] if args.method else [])]
    return '_'.join(Path(name).stem for name in names)


def need_mmkd() -> None:
    """End with what to type, where this Python has no mmkd."""
    if importlib.util.find_spec('mmkd') is not None:
        return
    ready = sorted(ROOT.glob('.venv*/bin/activate'))
    lines = [f'source {shlex.quote(os.path.relpath(file))}' for file in ready[:1]]
    if not ready and (ROOT / 'Makefile').is_file():
        home = shlex.quote(os.path.relpath(ROOT))
        lines = [f'make -C {home} setup', f'source {home}/.venv/bin/activate']
    lines = lines or ['the Python for which mmkd is installed, then this file']
    text = '\n    '.join([f'{sys.executable} has no mmkd. Type', *lines])
    print(f'mmkd: error: {text}', file=sys.stderr)
    sys.exit(2)
