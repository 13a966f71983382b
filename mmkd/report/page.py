"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape

from mmkd.report import settings
from mmkd.report.compare import Comparison
from mmkd.report.content import Content
from mmkd.report.curves import colours
from mmkd.report.learned import learned
from mmkd.report.parts import duration, figures, note_list, plain_table, tone_of
from mmkd.report.result import result
from mmkd.report.style import CSS, SCRIPT

HINTS = {
    'teacher': "Give the teacher's work dir as well to see how much of the gap is "
    'closed.',
    'baseline': 'Train the student alone with the same recipe and give its work dir: '
    'without it nobody can tell what distillation brought.',
    'gradient': 'To see the share of each loss in the gradient, train with '
    "<code>custom_hooks=[…, dict(type='mmkd.GradientShare')]</code>.",
}


def render(content: Content) -> str:
    """The whole page."""
    parts = [
        ('result', 'Result', result(content)),
        ('learning', 'Learning curves', _learning(content)),
        ('distillation', 'What was distilled', _distillation(content)),
        ('learned', 'What the student learned', learned(content)),
        ('settings', 'How it was made', _settings(content)),
    ]
    links = ''.join(f'<a href="#{key}">{name}</a>' for key, name, _ in parts)
    body = ''.join(
        f'<section id="{key}" aria-labelledby="{key}-title">'
        f'<h2 id="{key}-title"{" class=visually-hidden" if key == "result" else ""}>'
        f'{name}</h2>{html}</section>'
        for key, name, html in parts
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f'<title>{escape(content.title)}</title><style>{CSS}</style></head><body>'
        f'<header><p class="eyebrow">{escape(content.footer)}</p>'
        f'<h1>{escape(content.title)}</h1></header>'
        f'<nav aria-label="Sections">{links}</nav><main>{body}</main>'
        '<footer>Made by mmkd. The same numbers are in <code>report.json</code>, the '
        'figures as PNG and SVG in <code>figures/</code>.</footer>'
        f'<script>{SCRIPT}</script></body></html>'
    )


def _learning(content: Content) -> str:
    if not content.learning:
        return note_list(['Nothing was logged in training or validation.'])
    several = any(len(group.runs) > 1 for group in content.comparison.groups)
    text = 'Mean over seeds; the band is one standard deviation.' if several else ''
    return (
        f'{f"<p class=muted>{text}</p>" if text else ""}{_legend(content)}'
        f'<div class="charts">{figures(content.learning)}</div>'
    )


def _legend(content: Content) -> str:
    palette = colours(content.comparison)
    items = ''.join(
        f'<li><button type="button" aria-pressed="false" data-key="{escape(g.label)}">'
        f'<span class="dot" {tone_of(palette[g.label])}></span>{escape(g.label)}'
        f'{f" <span class=muted>× {len(g.runs)}</span>" if len(g.runs) > 1 else ""}'
        '</button></li>'
        for g in content.comparison.groups
    )
    return f'<ul class="legend" aria-label="Show one alone">{items}</ul>'


def _distillation(content: Content) -> str:
    if not content.distillation:
        return note_list(
            ['None of these runs is a distillation, so there are no terms.']
        )
    html = (
        '<p class="muted">Each term as it was logged: its value, its value times its '
    )
    html += 'weight, and the weight. <em>task</em> is the loss the student would have '
    html += 'without a teacher.</p>'
    missing = False
    for group in content.comparison.of('distilled'):
        drawings = content.distillation.get(group.label, [])
        html += f'<h3>{escape(group.label)}</h3>'
        if not drawings:
            html += note_list(['No term was logged.'])
            continue
        missing = missing or not any(d.name.startswith('gradient_') for d in drawings)
        html += f'<div class="charts">{figures(drawings)}</div>'
    return html + (note_list([HINTS['gradient']]) if missing else '')


def _settings(content: Content) -> str:
    comparison = content.comparison
    html = '<h3>Runs</h3>' + _runs_table(comparison)
    for group in comparison.groups:
        html += f'<h3>{escape(group.label)}</h3>'
        html += f'<p>{escape(settings.network_name(group.model()))}</p>'
        added = settings.added(group.runs[0])
        if added:
            title = 'What distillation adds'
            html += plain_table(title, ('setting', 'value'), added, code=[0, 1])
        changed = settings.recipe(comparison, group)
        if changed:
            heads = ('setting', 'baseline', 'here')
            table = plain_table('', heads, changed, code=[0, 1, 2])
            many = len(changed) > 12
            title = f'{len(changed)} settings that differ from the baseline'
            html += f'<details class="print"{"" if many else " open"}>'
            html += f'<summary>{title}</summary>{table}</details>'
        elif comparison.one('baseline') not in (None, group):
            html += (
                '<p class="muted">Otherwise the settings are those of the baseline.</p>'
            )
        html += '<details><summary>Whole config</summary><pre tabindex="0">'
        html += f'{escape(group.config.pretty_text)}</pre></details>'
    known = settings.environments(comparison)
    if known:
        html += '<h3>Environment</h3>' + plain_table('', ('what', 'version'), known)
    rows = [
        (text[:400], f'{count:,}', f'{runs:,}')
        for text, count, runs in settings.warnings(comparison)
    ]
    html += '<h3>Warnings</h3>'
    if rows:
        return html + plain_table('', ('warning', 'times', 'runs'), rows[:30])
    return html + '<p class="muted">The logs have none.</p>'


def _runs_table(comparison: Comparison) -> str:
    rows = []
    for group in comparison.groups:
        for run in group.runs:
            reached, end, unit = run.progress
            state = (
                f'{reached:,} {unit}s'
                if run.finished
                else (f'stopped at {unit} {reached:,} of {end:,}')
            )
            time = duration(run.seconds) if run.seconds else '–'
            seed = 'not set' if run.seed is None else str(run.seed)
            rows.append((run.name, group.label, seed, state, time))
    heads = ('work dir', 'group', 'seed', 'trained', 'time')
    return plain_table('', heads, rows, 'numbers')


def _troubles(content: Content) -> str:
    return note_list([escape(text) for text in settings.troubles(content.comparison)])
