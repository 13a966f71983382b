"""The page's first section: the finding, the table, and how its numbers were made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from mmkd.report.content import Content
from mmkd.report.curves import colours, digits, title_of
from mmkd.report.drawing import si
from mmkd.report.parts import (
    duration,
    figure,
    figures,
    note_list,
    spread,
    tone_of,
)
from mmkd.report.settings import troubles
from mmkd.report.verdict import verdict

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
    lead, tiles = verdict(content)
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
