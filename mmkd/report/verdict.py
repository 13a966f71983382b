"""The finding in a sentence or two, and its numbers."""

from __future__ import annotations

from html import escape
from typing import Any

from mmkd.report.compare import Comparison, higher_is_better
from mmkd.report.content import Content
from mmkd.report.curves import colours, digits, title_of
from mmkd.report.parts import lower, spread, tone_of

Model = dict[str, Any]
Tile = tuple[str, str]


def verdict(content: Content) -> tuple[str, str]:
    """The finding, and its numbers as tiles."""
    comparison, metric = content.comparison, content.comparison.metric
    if metric is None:
        return 'No validation was logged, so there is no result to compare yet.', ''
    models = {model['label']: model for model in content.numbers['models']}
    taught = [models[group.label] for group in comparison.of('distilled')]
    if not taught:
        return _without_distillation(models, metric), ''
    taught = [model for model in taught if _mean(model, metric) is not None]
    if not taught:
        name = lower(title_of(metric)[0])
        return f'No distilled run has a last {name} that is a number.', ''
    best = max if higher_is_better(metric) else min
    ours = best(taught, key=lambda model: float(_mean(model, metric) or 0))
    lead, tiles = _of_the_best(ours, models, comparison, metric)
    tone = tone_of(colours(comparison)[ours['label']])
    items = ''.join(
        f'<li class="tile" {tone}><b>{value}</b><span>{text}</span></li>'
        for value, text in tiles
    )
    return lead, f'<ul class="tiles">{items}</ul>' if items else ''


def _without_distillation(models: dict[str, Model], metric: str) -> str:
    """What all runs reach, where none of them is a distillation."""
    name, unit = title_of(metric)
    all_of_them = [(_last(m, metric), m['label']) for m in models.values()]
    told = ', '.join(
        f'<b>{escape(label)}</b> {spread(last, unit, digits(metric))}'
        for last, label in all_of_them
        if last
    )
    return f'{name}: {told}. None of these runs is a distillation.'


def _of_the_best(
    ours: Model, models: dict[str, Model], comparison: Comparison, metric: str
) -> tuple[str, list[Tile]]:
    """What the best distillation reaches, beside the student alone and the teacher."""
    name, unit = title_of(metric)
    last = ours['metrics'][metric]['last']
    reached = spread(last, unit, digits(metric))
    lead = f'<b>{escape(ours["label"])}</b> reaches {reached} {lower(name)}'
    base, teacher = comparison.one('baseline'), comparison.one('teacher')
    low = _last(models[base.label], metric) if base else None
    low = low if low and low['mean'] is not None else None
    top = _last(models[teacher.label], metric) if teacher else None
    tiles = []
    if low:
        lead += f', where the student alone reaches {spread(low, unit, digits(metric))}'
        gain = f'{last["mean"] - low["mean"]:+.1f}'
        tiles.append((gain, f'points over the student alone{_runs(last, low)}'))
    lead += f'.{_unfinished(ours)}'
    closed = ours['metrics'][metric]['gap_closed']
    if closed and top:
        lead += f' The teacher reaches {spread(top, unit, digits(metric))}.'
        tiles.append((_percent(closed), 'of the gap to the teacher closed'))
    return lead + _doubt(ours, last, low), tiles + _cost_tiles(ours, models)


def _percent(value: dict[str, Any]) -> str:
    """A share with its standard deviation."""
    sd = f'\u2009±\u2009{100 * value["sd"]:.0f}' if value['sd'] is not None else ''
    return f'{100 * value["mean"]:.0f}{sd} %'


def _doubt(ours: Model, last: dict[str, Any], low: dict[str, Any] | None) -> str:
    """What speaks against a difference to the student alone."""
    if low and last['sd'] is None:
        return f' {escape(ours["label"])} is one run: repeat it with other seeds.'
    if low and abs(last['mean'] - low['mean']) < last['sd'] + (low['sd'] or 0):
        return ' The difference is no larger than that between seeds.'
    return ''


def _unfinished(model: Model) -> str:
    """A warning of a run that did not come to its end."""
    for run in model['runs']:
        if not run['finished']:
            text = ' It is not finished: {unit} {reached:,} of {of:,}.'
            return text.format(**run)
    return ''


def _cost_tiles(ours: Model, models: dict[str, Model]) -> list[Tile]:
    teacher = next((m for m in models.values() if m['role'] == 'teacher'), None)
    own, other = ours['cost'], teacher['cost'] if teacher else None
    found = []
    if own and other and own['parameters']:
        times = other['parameters'] / own['parameters']
        if times >= 1.05:
            found.append((f'1/{times:.3g}', "of the teacher's parameters"))
    if own and other and own['latency_seconds'] and other['latency_seconds']:
        times = other['latency_seconds'] / own['latency_seconds']
        if abs(times - 1) >= 0.05:
            found.append((f'{times:.1f}×', 'as fast as the teacher, here'))
    if ours['training_time_ratio']:
        found.append((f'{ours["training_time_ratio"]:.2f}×', 'the training time'))
    return found


def _last(model: Model, metric: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (model['metrics'].get(metric) or {}).get('last')
    return found


def _mean(model: Model, metric: str) -> float | None:
    found = _last(model, metric)
    return found['mean'] if found else None


def _runs(*values: dict[str, Any]) -> str:
    counts = {value['runs'] for value in values}
    return (
        f', {counts.pop()} seeds each' if len(counts) == 1 and max(counts) > 1 else ''
    )
