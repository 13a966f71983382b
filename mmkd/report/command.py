r"""Write a report on training runs: one HTML page, its figures, and its numbers.

Any work dirs of mmengine's Runner will do: of distillations, of their teacher, of the
student alone, of several seeds each; a folder of work dirs stands for all in it.

    python -m mmkd.report work_dirs/teacher work_dirs/student work_dirs/kd --out report
"""

from __future__ import annotations

import argparse
import datetime
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.logging import MMLogger

from mmkd.launch import short_errors

if TYPE_CHECKING:
    from mmkd.report.compare import Comparison
    from mmkd.report.content import Content


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog='python -m mmkd.report',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'runs', nargs='+', metavar='RUN', help='a work dir, or a folder'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('report'), help='(default: ./report)'
    )
    parser.add_argument('--teacher', metavar='RUN', help='which of the runs taught')
    parser.add_argument(
        '--baseline', metavar='RUN', help='which of the runs is the student alone'
    )
    parser.add_argument(
        '--metric', help="what to compare by, such as 'coco/segm_mAP' (default: found)"
    )
    parser.add_argument('--title', help="the page's title")
    _add_measuring(parser)
    return parser.parse_args(argv)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    """What is measured with the networks, and for how long."""
    parser.add_argument(
        '--no-features',
        action='store_true',
        help='show the networks no images: nothing of what they learned',
    )
    parser.add_argument(
        '--no-costs', action='store_true', help='build no networks at all'
    )
    parser.add_argument(
        '--images', type=int, default=200, help='validation images at most (200)'
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=120,
        help='time for showing images, and a quarter as much for latency (120)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='change the config that the validation images are read by',
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report."""
    args = parse_args(argv)
    MMLogger.get_instance('report', log_level='ERROR')
    with short_errors(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        print(make(args))


def make(args: argparse.Namespace) -> Path:
    """Read, measure, draw and write; returns the page's file."""
    from mmkd.report.page import render
    from mmkd.report.roles import compare
    from mmkd.report.work_dirs import find_work_dirs, read_run

    folders = dict.fromkeys(
        folder.resolve() for path in args.runs for folder in find_work_dirs(path)
    )
    runs = [read_run(folder) for folder in folders]
    comparison = compare(runs, args.teacher, args.baseline, args.metric)
    content = collect(args, comparison)
    today = datetime.date.today()
    content.footer = (
        f'{len(runs)} run{"s" if len(runs) > 1 else ""}, {today.day} {today:%B %Y}'
    )
    file: Path = args.out / 'report.html'
    file.write_text(render(content), encoding='utf-8')
    text = json.dumps(content.numbers, indent=2, allow_nan=False)
    (args.out / 'report.json').write_text(text + '\n')
    return file


def collect(args: argparse.Namespace, comparison: Comparison) -> Content:
    """What the page shows: measured, and drawn into the folder of the figures."""
    from mmkd.report import charts
    from mmkd.report.content import Content
    from mmkd.report.figures import Gallery
    from mmkd.report.measure import machine
    from mmkd.report.numbers import all_numbers
    from mmkd.report.sheets import write_sheets
    from mmkd.report.survey import survey

    notes: dict[str, list[str]] = {'result': [], 'learned': []}
    images, costs, found, shape = survey(args, comparison, notes)
    gallery = Gallery(args.out / 'figures')
    content = Content(
        comparison,
        all_numbers(comparison, costs, found, machine()),
        headline=charts.headline(comparison, costs, gallery),
        learning=charts.learning(comparison, gallery),
        distillation={
            group.label: charts.distillation(group, comparison, gallery)
            for group in comparison.of('distilled')
        },
        study=found,
        images=images,
        machine=machine(),
        shape=shape,
        notes=notes,
        title=args.title or _title(comparison),
    )
    if found is not None and images is not None:
        content.similarity = charts.similarity(found, comparison, gallery)
        write_sheets(found, images, gallery.folder)
    return content


def _title(comparison: Any) -> str:
    names = [group.label for group in comparison.of('distilled')]
    if not names:
        return 'Training runs'
    *most, last = names
    return f'Distillation with {", ".join(most) + " and " if most else ""}{last}'
