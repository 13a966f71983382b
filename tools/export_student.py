#!/usr/bin/env python3
r"""Write the plain student of a distiller's checkpoint into a file of its own.

The file loads into the student's ordinary config, in projects that know nothing of
mmkd. EMA weights are what is written where there are any.

    python tools/export_student.py demo_runs/seed0/cls/cwt/epoch_20.pth student.pth \
        --config configs/demo/cls/student.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import need_mmkd  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help="the distiller's: work_dirs/kd/epoch_10.pth")
    parser.add_argument('out', type=Path, help='the file to write: student.pth')
    parser.add_argument(
        '--config',
        help='the config of the distillation or of the student: load the result into '
        'that model, strictly, before it is written',
    )
    return parser.parse_args(argv)


def export(args: argparse.Namespace) -> None:
    from mmengine.registry import init_default_scope

    from mmkd.build import build_model, read_config
    from mmkd.checkpoints.read import read_checkpoint
    from mmkd.hooks.export_student import load_strictly, student_checkpoint, write
    from mmkd.mixin import plain

    source = Path(args.checkpoint)
    if args.out.resolve() == source.resolve():
        raise ValueError(f"'{args.out}' is the checkpoint itself: give another file.")
    content, _ = read_checkpoint(source)
    student = student_checkpoint(content, source)
    weights = student['state_dict']
    if args.config:
        config = plain(read_config(args.config, 'model'))
        init_default_scope(config.get('default_scope') or 'mmengine')
        load_strictly(build_model(config.model, 'student'), weights, args.checkpoint)
        print(f'All tensors fit the student of {args.config}.')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write(student, args.out)
    before, after = (file.stat().st_size / 1e6 for file in (source, args.out))
    print(f'{args.out}: {len(weights)} tensors, {after:.2f} MB (of {before:.2f} MB)')
    sizes = {key: value.numel() for key, value in weights.items()}
    layers = sum(size for key, size in sizes.items() if '.kd_layers.' in key)
    if layers:  # which stay in the student
        share = layers / (sum(sizes.values()) - layers)
        print(f'{layers / 1e6:.3f} M of its numbers are in KD layers (+{share:.0%}).')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    from mmkd.launch import short_errors

    with short_errors():
        export(args)


if __name__ == '__main__':
    main()
