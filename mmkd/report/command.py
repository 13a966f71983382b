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
from typing import Any

import mmengine
from mmengine.logging import MMLogger

from mmkd.launch import merge_options, short_errors


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
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report."""
    args = parse_args(argv)
    MMLogger.get_instance('report', log_level='ERROR')
    with short_errors(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        print(make(args))


def make(args: argparse.Namespace) -> Path:
    """Read, measure, draw and write; returns the page's file."""
    from mmkd.report import charts
    from mmkd.report.compare import compare
    from mmkd.report.content import Content
    from mmkd.report.figures import Gallery
    from mmkd.report.measure import machine
    from mmkd.report.numbers import all_numbers
    from mmkd.report.page import render
    from mmkd.report.runs import find_work_dirs, read_run

    folders = dict.fromkeys(
        folder.resolve() for path in args.runs for folder in find_work_dirs(path)
    )
    runs = [read_run(folder) for folder in folders]
    comparison = compare(runs, args.teacher, args.baseline, args.metric)
    notes: dict[str, list[str]] = {'result': [], 'learned': []}
    images, costs, found, shape = _look(args, comparison, notes)
    gallery, today = Gallery(args.out / 'figures'), datetime.date.today()
    numbers = all_numbers(comparison, costs, found, machine())
    content = Content(
        comparison,
        numbers,
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
        footer=f'{len(runs)} run{"s" if len(runs) > 1 else ""}, '
        f'{today.day} {today:%B %Y}',
    )
    if found is not None:
        content.similarity = charts.similarity(found, comparison, gallery)
        _write_sheets(content, gallery.folder)
    file: Path = args.out / 'report.html'
    file.write_text(render(content), encoding='utf-8')
    text = json.dumps(numbers, indent=2, allow_nan=False)
    (args.out / 'report.json').write_text(text + '\n')
    return file


def _look(
    args: argparse.Namespace, comparison: Any, notes: dict[str, list[str]]
) -> tuple[Any, dict[str, Any], Any, str]:
    """Build the networks: what they cost, and what they make of images."""
    from mmkd.report.study import study
    from mmkd.report.subjects import (
        ANY,
        enter,
        line,
        load_subjects,
        read_images,
        reference,
    )

    again = 'Give --cfg-options val_dataloader.dataset.data_root=… if it is elsewhere.'
    images, found = None, None
    if args.no_costs:
        notes['result'].append('Costs were left out (--no-costs).')
        return None, {}, None, ''
    run = reference(comparison)
    config = mmengine.Config(run.config.to_dict())
    merge_options(config, args.cfg_options)
    try:
        enter(config)
        images = read_images(config, args.images)
    except ANY as error:
        text = f'The validation images cannot be read ({line(error)}). {again}'
        notes['learned'].append(text)
    costs, shape = _measure(args, comparison, images, notes)
    if args.no_features:
        notes['learned'] = ['Left out (--no-features).']
    elif images is not None:
        try:
            subjects = load_subjects(comparison, notes['learned'])
            terms = [group.config.model.terms for group in comparison.of('distilled')]
            if any(subject.trained for subject in subjects):
                found = study(subjects, images, terms, args.seconds)
            else:
                notes['learned'].append(
                    'There is no checkpoint to load. Keep the last one of each run: '
                    "default_hooks.checkpoint=dict(type='CheckpointHook')."
                )
        except ANY as error:
            notes['learned'].append(f'The networks could not be shown: {line(error)}')
    return images, costs, found, shape


def _measure(
    args: argparse.Namespace, comparison: Any, images: Any, notes: dict[str, list[str]]
) -> tuple[dict[str, Any], str]:
    """Parameters, multiply-adds and latency of all networks."""
    from mmkd.build import build_model
    from mmkd.report.measure import Cost, count_macs, count_parameters, time_models
    from mmkd.report.subjects import ANY, example, line, networks, ready

    costs: dict[str, Cost] = {}
    models: dict[str, Any] = {}
    data: dict[str, Any] = {}
    shape = ''
    for name, (_, settings) in networks(comparison).items():
        macs = None
        try:
            model = ready(build_model(settings, name))
            costs[name] = Cost(count_parameters(model))
            batch = example(model, images)
            height, width = batch['inputs'].shape[-2:]
            shape = f' of {height} × {width}'
            macs = count_macs(model, batch)
            costs[name] = Cost(costs[name].parameters, macs)
            models[name], data[name] = model, batch
        except ANY as error:
            what = 'built' if name not in costs else 'run on an image'
            notes['result'].append(f'{name} cannot be {what} here: {line(error)}')
    try:
        times = time_models(models, data, args.seconds / 4) if models else {}
    except ANY as error:
        notes['result'].append(f'Latency could not be measured: {line(error)}')
        times = {}
    for name, (seconds, passes) in times.items():
        known = costs[name]
        costs[name] = Cost(known.parameters, known.macs, seconds, passes)
    return costs, shape


def _write_sheets(content: Any, folder: Path) -> None:
    from mmkd.report.pictures import draw_answer, draw_attention, enlarge, write_sheet

    samples = content.study.samples[:4]
    maps = [
        [
            ('image', enlarge(s.image)),
            *((k, draw_attention(s.image, m)) for k, m in s.attention.items()),
        ]
        for s in samples
        if s.attention
    ]
    answers = [
        [
            ('ground truth', draw_answer(s, s.truth, content.images)),
            *((k, draw_answer(s, a, content.images)) for k, a in s.answers.items()),
        ]
        for s in samples
        if any(a.scores is None for a in s.answers.values())
    ]
    for name, rows in (('attention', maps), ('predictions', answers)):
        if rows:
            write_sheet(folder / name, rows)


def _title(comparison: Any) -> str:
    names = [group.label for group in comparison.of('distilled')]
    if not names:
        return 'Training runs'
    *most, last = names
    return f'Distillation with {", ".join(most) + " and " if most else ""}{last}'
