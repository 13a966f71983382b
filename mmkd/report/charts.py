"""Which curves a comparison has, and the figures made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mmkd.report.compare import METRICS, Comparison, Group
from mmkd.report.drawing import (
    BASELINE,
    COLOURS,
    INK,
    MUTED,
    TEACHER,
    Curve,
    Drawing,
    Line,
)
from mmkd.report.figures import Gallery
from mmkd.report.measure import Cost
from mmkd.report.parts import lower
from mmkd.report.runs import Run
from mmkd.report.study import Study
from mmkd.report.subjects import BEFORE
from mmkd.schedule import make_piece

SHARE = 'grad_share/'
Axis = tuple[str, Callable[[Run, Curve], Curve]]


def colours(comparison: Comparison) -> dict[str, str]:
    """A colour for every group: greys for what is compared with."""
    found = {'teacher': TEACHER, BEFORE: BASELINE}
    fixed = {'teacher': TEACHER, 'baseline': BASELINE}
    free = [g.label for g in comparison.groups if g.role not in fixed]
    for group in comparison.groups:
        found[group.label] = (
            fixed.get(group.role) or COLOURS[free.index(group.label) % len(COLOURS)]
        )
    return found


def scaled(metric: str, value: float) -> float:
    """A metric as it is usually written: COCO's AP from 0 to 100."""
    return value * METRICS.get(metric, ('', '', 1.0))[2]


def title_of(metric: str) -> tuple[str, str]:
    """A metric's name and unit."""
    name, unit, _ = METRICS.get(metric, (metric, '', 1.0))
    return name[0].upper() + name[1:], unit


def digits(metric: str) -> int:
    """Decimals that a metric is worth."""
    return 1 if metric in METRICS else 3


def axis(comparison: Comparison) -> Axis:
    """Epochs where every run counts them, else iterations."""
    runs = [run for group in comparison.groups for run in group.runs]
    if all(run.by_epoch and run.epoch_length for run in runs):
        return 'epoch', lambda run, curve: [
            (x / (run.epoch_length or 1), y) for x, y in curve
        ]
    return 'iteration', lambda run, curve: curve


def task_loss(run: Run) -> Curve:
    """The network's own loss, without what distillation adds."""
    found = []
    for entry in run.train:
        taught = set(weighted_terms(entry).values())
        own = [
            key
            for key in entry
            if 'loss' in key and key != 'loss' and key not in taught
        ]
        own = [key for key in own if not key.startswith('teacher_')]
        if own:
            found.append((entry['iter'], sum(entry[key] for key in own)))
        elif 'loss' in entry:  # a head that calls its own loss so
            found.append((entry['iter'], entry['loss']))
    return found


def weighted_terms(entry: Mapping[str, float]) -> dict[str, str]:
    """Term -> the key of its weighted value, told by ``raw_<term>`` beside it."""
    found = {}
    for raw in (key[4:] for key in entry if key.startswith('raw_')):
        for key in entry:
            if 'loss' in key and (key.replace('loss', '').strip('_.') or 'term') == raw:
                found[raw] = key
    return found


def weight_curve(run: Run, key: str) -> Curve:
    """A term's weight over training, from its config and schedule."""
    terms = run.config.model.get('terms') or {}
    name = next((n for n in sorted(terms, key=len)[::-1] if key.startswith(n)), None)
    if name is None:
        return []
    term = terms[name]
    base = float(term.get('weight', 1.0))
    for teacher, settings in (run.config.model.get('teachers') or {}).items():
        if key == f'{name}_{teacher}' or term.get('source') == teacher:
            base *= float(settings.get('weight', 1.0))
    schedule: Any = term.get('schedule') or ()
    pieces = [make_piece(p) for p in ([schedule] if 'kind' in schedule else schedule)]
    _, end, _ = run.progress
    length = run.epoch_length
    curve = []
    for entry in run.train:
        step, weight = int(entry['iter']) - 1, base
        for piece in pieces:
            if end is None or (run.by_epoch and not length):
                return []
            if piece.by == 'epoch':
                time, whole = (step // length, end) if length else (0, 1)
            else:
                time, whole = step, end * length if run.by_epoch and length else end
            weight *= piece.at(time, whole)
        curve.append((entry['iter'], weight))
    return curve


def learning(comparison: Comparison, gallery: Gallery) -> list[Drawing]:
    """Validation and the task's loss of all groups together."""
    label, place = axis(comparison)
    palette = colours(comparison)
    found = []

    def collect(curve: Callable[[Run], Curve]) -> list[Line]:
        lines = []
        for group in comparison.groups:
            curves = [place(run, curve(run)) for run in group.runs]
            dashed, colour = group.role == 'teacher', palette[group.label]
            lines.append(Line(group.label, colour, curves, dashed, group.label))
        return [line for line in lines if any(line.runs)]

    for metric in comparison.metrics[:3]:
        name, unit = title_of(metric)
        lines = collect(
            lambda run, metric=metric: [  # type: ignore[misc]
                (x, scaled(metric, y)) for x, y in run.metrics.get(metric, [])
            ]
        )
        if lines:
            file = 'curve_' + re.sub(r'\W+', '_', metric)
            title = f'Validation {lower(name)}'
            found.append(gallery.lines(file, title, lines, label, unit))
    lines = collect(task_loss)
    if lines:
        title = "The task's own training loss"
        found.append(gallery.lines('curve_loss', title, lines, label, log=True))
    lines = collect(lambda run: run.series('lr'))
    if lines:
        found.append(gallery.lines('curve_lr', 'Learning rate', lines, label))
    return found


def headline(
    comparison: Comparison, costs: Mapping[str, Cost], gallery: Gallery
) -> list[Drawing]:
    """The final values as dots; and what they cost."""
    metric = comparison.metric
    if metric is None:
        return []
    palette = colours(comparison)
    name, unit = title_of(metric)
    rows, points = [], []
    order = ('baseline', 'distilled', 'other', 'teacher')
    for group in sorted(comparison.groups, key=lambda g: order.index(g.role)):
        runs = [run for run in group.runs if metric in run.metrics]
        values = [scaled(metric, run.metrics[metric][-1][1]) for run in runs]
        values = [v for v in values if v == v]
        if values:
            colour = palette[group.label]
            rows.append((group.label, colour, values))
            if group.label in costs:
                mean = sum(values) / len(values)
                cost = float(costs[group.label].parameters)
                points.append((group.label, colour, cost, mean))
    found = [gallery.dots('result', f'Final {lower(name)}', unit, rows)] if rows else []
    if len({cost for *_, cost, _ in points}) > 1:
        title = f'{name} by size'
        found.append(gallery.scatter('cost', title, points, 'parameters', unit))
    return found


def distillation(
    group: Group, comparison: Comparison, gallery: Gallery
) -> list[Drawing]:
    """Every term, raw and weighted, with its weight; and the shares of the gradient."""
    label, place = axis(comparison)
    found = []
    keys: dict[str, str] = {}
    for run in group.runs:
        for entry in run.train:
            keys.update(weighted_terms(entry))
    tones = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(keys)}
    prefix = re.sub(r'\W+', '_', group.label)
    losses = [Line('task', MUTED, [place(r, task_loss(r)) for r in group.runs], True)]
    for name, key in keys.items():
        raw = [place(run, run.series(f'raw_{name}')) for run in group.runs]
        weighted = [place(run, run.series(key)) for run in group.runs]
        weight = place(group.runs[0], weight_curve(group.runs[0], key))
        constant = {y for _, y in weight} == {1.0}
        lines = [Line('raw' if not constant else 'raw = weighted', tones[name], raw)]
        if not constant:
            lines.append(Line('weighted', INK, weighted, True))
        losses.append(Line(name, tones[name], weighted))
        title = f'Term {name}'
        found.append(
            gallery.term(
                f'term_{prefix}_{name}', title, lines, weight, label, tones[name]
            )
        )
    if keys:
        title = 'Weighted losses'
        found.append(gallery.lines(f'losses_{prefix}', title, losses, label, log=True))
    shares = gradient_shares(group)
    if shares:
        lines = [
            Line(name, tones.get(name, MUTED if name == 'task' else TEACHER), curves)
            for name, curves in shares.items()
        ]
        for line in lines:
            line.runs = [place(r, c) for r, c in zip(group.runs, line.runs)]
        title = "Share of the student's gradient"
        found.append(gallery.shares(f'gradient_{prefix}', title, lines, label))
    return found


def gradient_shares(group: Group) -> dict[str, list[Curve]]:
    """Loss -> curve for each run that logged it, the task's first."""
    names: dict[str, None] = {'task': None}
    for run in group.runs:
        for entry in run.train:
            names.update({k[len(SHARE) :]: None for k in entry if k.startswith(SHARE)})
    curves: dict[str, list[Curve]] = {
        name: [run.series(SHARE + name) for run in group.runs] for name in names
    }
    return {name: found for name, found in curves.items() if any(found)}


def similarity(
    study: Study, comparison: Comparison, gallery: Gallery
) -> Drawing | None:
    """CKA with the teacher, layer by layer."""
    rows: dict[str, dict[str, float]] = {n: values for _, n, values in study.layers}
    if not rows:
        return None
    palette = colours(comparison)
    labels: Any = {label for values in rows.values() for label in values}
    styles = {label: (palette[label], label != BEFORE) for label in labels}
    title = "Likeness to the teacher's features"
    return gallery.dumbbells('similarity', title, rows, styles)
