"""The figures of a comparison, made of its curves and its final values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mmkd.report.compare import Comparison, Group
from mmkd.report.curves import (
    axis,
    colours,
    gradient_shares,
    scaled,
    task_loss,
    title_of,
    weight_curve,
    weighted_terms,
)
from mmkd.report.drawing import COLOURS, INK, MUTED, TEACHER, Drawing
from mmkd.report.figures import Gallery
from mmkd.report.lines import Curve, Line
from mmkd.report.measure import Cost
from mmkd.report.parts import lower
from mmkd.report.runs import Run
from mmkd.report.study import Study
from mmkd.report.subjects import BEFORE


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
