"""The page's first section: the finding, the table, and how its numbers were made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from mmkd.report.charts import colours, digits, title_of
from mmkd.report.compare import higher_is_better
from mmkd.report.content import Content
from mmkd.report.drawing import si
from mmkd.report.parts import (
    duration,
    figure,
    figures,
    lower,
    note_list,
    spread,
    tone_of,
)
from mmkd.report.settings import troubles

ROLES = dict(
    teacher='teacher', baseline='student alone', distilled='distilled', other=''
)
HINTS = {
    'teacher': "Give the teacher's work dir as well to see how much of the gap is "
    'closed.',
    'baseline': 'Train the student alone with the same recipe and give its work dir: '
    'without it nobody can tell what distillation brought.',
    'gradient': 'To see the share of each loss in the gradient, train with '
    "<code>custom_hooks=[…, dict(type='mmkd.GradientShare')]</code>.",
}


def result(content: Content) -> str:
    """The section."""
    lead, tiles = _verdict(content)
    first = next(iter(content.headline), None)
    more = content.headline[1:]
    hero = f'<div><p class="lead">{lead}</p>{tiles}</div>{figure(first)}'
    notes = list(content.notes.get('result', []))
    for role in ('baseline', 'teacher'):
        if content.comparison.of('distilled') and not content.comparison.of(role):
            notes.append(HINTS[role])
    bad = note_list(map(escape, troubles(content.comparison)))
    return (
        f'<div class="hero">{hero}</div>{bad}{_table(content)}'
        + note_list(notes)
        + f'<div class="split"><p class="muted">{_fine_print(content)}</p>'
        + f'{figures(more)}</div>'
    )


def _verdict(content: Content) -> tuple[str, str]:
    """The finding in a sentence or two, and its numbers."""
    comparison, metric = content.comparison, content.comparison.metric
    if metric is None:
        return 'No validation was logged, so there is no result to compare yet.', ''
    name, unit = title_of(metric)
    models = {model['label']: model for model in content.numbers['models']}
    taught = [models[group.label] for group in comparison.of('distilled')]
    if taught and all(_mean(model, metric) is None for model in taught):
        return f'No distilled run has a last {lower(name)} that is a number.', ''
    taught = [model for model in taught if _mean(model, metric) is not None]
    if not taught:
        all_of_them = [(_last(m, metric), m['label']) for m in models.values()]
        told = ', '.join(
            f'<b>{escape(label)}</b> {spread(last, unit, digits(metric))}'
            for last, label in all_of_them
            if last
        )
        return f'{name}: {told}. None of these runs is a distillation.', ''
    best = max if higher_is_better(metric) else min
    ours = best(taught, key=lambda model: float(_mean(model, metric) or 0))
    last = ours['metrics'][metric]['last']
    reached = spread(last, unit, digits(metric))
    lead = f'<b>{escape(ours["label"])}</b> reaches {reached} {lower(name)}'
    base, teacher = comparison.one('baseline'), comparison.one('teacher')
    low = _last(models[base.label], metric) if base else None
    low = low if low and low['mean'] is not None else None
    top = _last(models[teacher.label], metric) if teacher else None
    tiles = []
    if low:
        gain = last['mean'] - low['mean']
        lead += f', where the student alone reaches {spread(low, unit, digits(metric))}'
        tiles.append(
            (f'{gain:+.1f}', f'points over the student alone{_runs(last, low)}')
        )
    lead += '.'
    lead += _unfinished(ours)
    closed = ours['metrics'][metric]['gap_closed']
    if closed and top:
        lead += f' The teacher reaches {spread(top, unit, digits(metric))}.'
        sd = (
            f'\u2009±\u2009{100 * closed["sd"]:.0f}' if closed['sd'] is not None else ''
        )
        tiles.append(
            (f'{100 * closed["mean"]:.0f}{sd} %', 'of the gap to the teacher closed')
        )
    tiles += _cost_tiles(ours, models)
    if low and last['sd'] is None:
        lead += f' {escape(ours["label"])} is one run: repeat it with other seeds.'
    elif low and abs(last['mean'] - low['mean']) < last['sd'] + (low['sd'] or 0):
        lead += ' The difference is no larger than that between seeds.'
    tone = tone_of(colours(comparison)[ours['label']])
    items = ''.join(
        f'<li class="tile" {tone}><b>{value}</b><span>{text}</span></li>'
        for value, text in tiles
    )
    return lead, f'<ul class="tiles">{items}</ul>' if items else ''


def _unfinished(model: dict[str, Any]) -> str:
    """A warning of a run that did not come to its end."""
    for run in model['runs']:
        if not run['finished']:
            text = ' It is not finished: {unit} {reached:,} of {of:,}.'
            return text.format(**run)
    return ''


def _cost_tiles(
    ours: dict[str, Any], models: dict[str, dict[str, Any]]
) -> list[tuple[str, str]]:
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


def _table(content: Content) -> str:
    comparison = content.comparison
    metrics = comparison.metrics[:2]
    heads: list[tuple[str, str]] = []
    for metric in metrics:
        name, unit = title_of(metric)
        heads += [(f'{name}{", " + unit if unit else ""}', ''), ('best', '')]
    heads += [('gap closed', ''), ('parameters', ''), ('multiply-adds', '')]
    heads += [('latency', ''), ('training', ''), ('× baseline', '')]
    palette = colours(comparison)
    order = ('teacher', 'baseline', 'distilled', 'other')
    models = sorted(content.numbers['models'], key=lambda m: order.index(m['role']))
    rows = []
    for model in models:
        cells = _cells(model, metrics)
        tone = tone_of(palette.get(model['label'], palette['teacher']))
        role = ROLES[model['role']]
        role = '' if role == model['label'] else role
        role = f' <small class="muted">{role}</small>' if role else ''
        row = f'<th scope="row" role="rowheader"><span class="dot" {tone}></span>'
        row += f'{escape(model["label"])}{role}</th>'
        for (head, _), cell in zip(heads, cells):
            empty = ' class="none"' if cell == '–' else ''
            row += f'<td role="cell" data-label="{escape(head)}"{empty}>{cell}</td>'
        rows.append(f'<tr role="row">{row}</tr>')
    head = ''.join(f'<th scope="col" role="columnheader">{h}</th>' for h, _ in heads)
    head = f'<th scope="col" role="columnheader">model</th>{head}'
    return (
        f'<h3>Side by side</h3><div class="scroll" tabindex="0" role="region" '
        f'aria-label="Comparison of the models"><table class="key" role="table">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table></div>'
    )


def _cells(model: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    cells = []
    for metric in metrics:
        found = model['metrics'].get(metric) or {}
        for key in ('last', 'best'):
            cells.append(spread(found.get(key), '', digits(metric)))
    closed = (
        (model['metrics'].get(metrics[0]) or {}).get('gap_closed') if metrics else None
    )
    if closed:
        scaled = {
            k: v if k == 'runs' or v is None else 100 * v for k, v in closed.items()
        }
        cells.append(spread(scaled, '%', 0))
    else:
        cells.append('–')
    cost = model['cost'] or {}
    cells.append(f'{cost["parameters"]:,}' if cost else '–')
    cells.append(si(cost['macs']) if cost.get('macs') else '–')
    cells.append(
        duration(cost['latency_seconds']) if cost.get('latency_seconds') else '–'
    )
    seconds, ratio = model.get('training_seconds'), model.get('training_time_ratio')
    cells.append(duration(seconds['mean']) if seconds else '–')
    cells.append(f'{ratio:.2f}' if ratio else '–')
    return cells


def _fine_print(content: Content) -> str:
    """How the numbers of the table were made."""
    models = content.numbers['models']
    text = 'Values of the last validation. '
    if any(len(m.get('runs', ())) > 1 for m in models):
        text += (
            '± is the standard deviation over runs that differ in their seed alone. '
        )
    if any(v.get('gap_closed') for m in models for v in m['metrics'].values()):
        text += (
            "Gap closed: each distilled run's way from the mean of the student alone "
            'to the mean of the teacher. '
        )
    costs = [m['cost'] for m in models if m['cost']]
    if costs:
        text += (
            'Parameters and multiply-adds are those of the network that is used after '
            f'training, for one image{content.shape}; convolutions and matrix products '
            'count. '
        )
    if any(c['latency_seconds'] for c in costs):
        passes = min(c['latency_passes'] for c in costs if c['latency_seconds'])
        text += (
            f'Latency is the median of {passes} prediction{"s" if passes > 1 else ""} '
            f'of that image on {escape(content.machine)}. '
        )
    return text + 'Training time counts iterations, not validation.'


def _last(model: dict[str, Any], metric: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (model['metrics'].get(metric) or {}).get('last')
    return found


def _mean(model: dict[str, Any], metric: str) -> float | None:
    found = _last(model, metric)
    return found['mean'] if found else None


def _runs(*values: dict[str, Any]) -> str:
    counts = {value['runs'] for value in values}
    return (
        f', {counts.pop()} seeds each' if len(counts) == 1 and max(counts) > 1 else ''
    )
