"""Figures: their colours, which have names in the page, short numbers, the SVG."""

from __future__ import annotations

import re
from dataclasses import dataclass

INK, MUTED, GRID, PAPER = '#1c2128', '#5d6876', '#e2e5e9', '#fffffe'
# The colours of Okabe and Ito, which all eyes can tell apart, and two greys.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
TEACHER, BASELINE = '#3f4756', '#8b95a3'
VARIABLES = {
    INK: 'ink',
    MUTED: 'muted',
    GRID: 'grid',
    PAPER: 'paper',
    TEACHER: 'teacher',
    BASELINE: 'baseline',
    **{colour: f'c{i}' for i, colour in enumerate(COLOURS, 1)},
}


@dataclass
class Drawing:
    """A finished figure: its file name, its text equivalent, and the SVG."""

    name: str
    alt: str
    svg: str


def short(value: float) -> str:
    """A number in as many digits as a reader wants."""
    if value != value:
        return 'NaN'
    size = abs(value)
    if size >= 1000:
        return f'{value:,.0f}'
    if size == 0 or size >= 10:
        return (
            f'{value:.1f}'.rstrip('0').rstrip('.')
            if size != round(size)
            else f'{value:.0f}'
        )
    if size >= 1e-3:
        return f'{value:.3g}'
    return re.sub(r'(\.0)?e([+-])0?', r'e\2', f'{value:.1e}').replace('e+', 'e')


def si(value: float) -> str:
    """12 k, 3.4 M: a number with a prefix."""
    for factor, prefix in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if abs(value) >= factor:
            return f'{value / factor:.3g} {prefix}'
    return f'{value:.3g}'


def inline(svg: str, name: str, alt: str) -> str:
    """An SVG file as a part of a page: the page's colours and fonts, no foreign ids."""
    svg = svg[svg.index('<svg') :]
    svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.S)
    svg = re.sub(r'font-family:[^;"]*;?|font:[^;"]*?(\d+px)[^;"]*;?', _font, svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f'var(--{variable})')
    used = set(re.findall(r'(?:#|url\(#)([\w-]+)', svg))
    svg = re.sub(r' id="series ([^"]*)"', r' class="series" data-series="\1"', svg)
    svg = re.sub(
        r' id="([^"]*)"',
        lambda m: f' id="{name}-{m[1]}"' if m[1] in used else '',
        svg,
    )
    svg = re.sub(r'(href="#|url\(#)', rf'\1{name}-', svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    text = alt.replace('&', '&amp;').replace('<', '&lt;').replace('"', '&quot;')
    head = f'<svg class="chart" role="img" aria-label="{text}" {box[0] if box else ""}>'
    return re.sub(r'<svg[^>]*>', lambda _: head, svg, count=1).strip()


def _font(match: re.Match[str]) -> str:
    return f'font-size: {match[1]};' if match[1] else ''
