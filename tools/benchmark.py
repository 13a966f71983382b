#!/usr/bin/env python3
r"""What distillation costs, beside loops and losses written by hand.

    python tools/benchmark.py --pairs resnet34_resnet18 --methods kd cwd --out bench
    python tools/benchmark.py --size 64 --batch 2 --steps 10 --out bench   # every pair

Three students with the same weights take turns at the same batches in one process: one
trains alone, one in a loop written by hand (mmkd/yardstick/by_hand.py), one in mmkd.
The losses must agree. What is reported are ratios of steps that stand side by side, so
that a machine that is now slower and now faster does little harm. Weights are random
and the images noise: nothing is downloaded.

One of these measures something else instead:

    --losses    each loss, forward and backward, beside its cheapest form
    --grow      the step against batch, size, terms and classes
    --ranks 2   the step of several processes that train together
    --teacher   the teacher with each of the teacher_options
    --mmrazor   the step of mmrazor, where that is installed
    --startup   until mmkd is imported, and until each tool has shown its help

The results are added to those that lie in the folder already; see docs/performance.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import traceback
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import need_mmkd  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--losses',
        nargs='*',
        metavar='NAME',
        help='losses whose name begins so (default: all); --size is the height of the '
        'images, 512 if it is not given',
    )
    what.add_argument(
        '--grow',
        nargs='*',
        metavar='AXIS',
        help='batch, size, terms, classes, or with values: batch=2,4,8 (default: all)',
    )
    what.add_argument('--ranks', type=int, help='so many processes, with gloo')
    what.add_argument(
        '--teacher',
        nargs='*',
        metavar='OPTION',
        help='fold_bn, channels_last, bfloat16, compile, '
        'fold_bn+channels_last, fold_bn+channels_last+bfloat16, all (default: all '
        'of these)',
    )
    what.add_argument(
        '--mmrazor', action='store_true', help='kd of classifiers, cwd of the others'
    )
    what.add_argument('--startup', action='store_true', help='needs nothing else')
    parser.add_argument(
        '--pairs',
        nargs='*',
        help='resnet34_resnet18, resnet50_mobilenet-v2, faster-rcnn-r101_faster-rcnn-'
        'r50, mask-rcnn-r101_mask-rcnn-r50, pspnet-r101_pspnet-r18; or the config file '
        'of a distillation; or none, to only write the reports again (default: all '
        'five; with --grow and --ranks the first)',
    )
    parser.add_argument(
        '--methods',
        nargs='+',
        help='kd, cwd, fitnet and cwt are compared with a loop by hand; frskd, sakd '
        'and letkd with the student alone (default: all; with --grow and --ranks kd)',
    )
    parser.add_argument('--terms', type=int, default=1, help='the same term so often')
    parser.add_argument('--size', type=int, help='height and width of the images')
    parser.add_argument('--batch', type=int, help='number of images')
    parser.add_argument('--steps', type=int, help='default: 12, on a GPU 100')
    parser.add_argument(
        '--seconds',
        type=float,
        help='for a row: then stop, though not before a fifth of the steps',
    )
    parser.add_argument('--device', help="'cpu' or 'cuda'; default: what there is")
    parser.add_argument('--threads', type=int, default=1, help='on a CPU')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'))
    parser.add_argument(
        '--merge',
        nargs='+',
        type=Path,
        default=(),
        metavar='FOLDER',
        help='add the results of another machine, whose --out this was',
    )
    parser.add_argument(
        '--docs', action='store_true', help='write docs/performance.md, no reports'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    typed = sys.argv[1:] if argv is None else argv
    command = f'python tools/benchmark.py {shlex.join(typed)}'.strip()
    from mmkd.launch import short_errors
    from mmkd.yardstick.jobs import jobs, keep
    from mmkd.yardstick.page import read, write

    args.out.mkdir(parents=True, exist_ok=True)
    with short_errors():
        for folder in args.merge:
            for name, rows in read(folder).items():
                for row in rows:
                    keep(args.out / f'{name}.json', row)
        failures = []
        for name, measure in jobs(args):
            try:
                made = measure()
                for row in [made] if isinstance(made, dict) else made:
                    keep(args.out / f'{name}.json', dict(row, command=command))
            except Exception as error:  # the others may go well
                failures.append(str(error))
                if not isinstance(error, ValueError):
                    traceback.print_exc()
        if not failures or any(args.out.glob('*.json')):
            text = write(args.out, ROOT if args.docs else None)
            where = 'docs/performance.md' if args.docs else f'{args.out}/tables.md'
            print(f'\n{text}\n{where} and its charts; {args.out}: the results')
        if failures:
            raise RuntimeError('\n'.join(failures))


if __name__ == '__main__':
    main()
