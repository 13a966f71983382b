"""What figures are made of: colours with a name in the page, lines, short numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Curve = Sequence[tuple[float, float]]
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
POINTS = 200


@dataclass
class Line:
    """One line of a chart.

    Args:
        label: What is written at its end.
        colour: One of this module's.
        runs: A curve for each run; their mean is drawn, and a band of their deviation.
        dashed: Whether it is dashed.
        key: The group it belongs to, for the page's legend.
    """

    label: str
    colour: str
    runs: list[Curve]
    dashed: bool = False
    key: str = ''


@dataclass
class Drawing:
    """A finished figure: its file name, its text equivalent, and the SVG."""

    name: str
    alt: str
    svg: str


def mean_curve(runs: Iterable[Curve]) -> tuple[list[float], list[float], Any]:
    """Positions, mean and deviation (None of one run), thinned to a legible number."""
    at: dict[float, list[float]] = {}
    several = [curve for curve in runs if curve]
    for curve in several:
        for x, y in curve:
            if math.isfinite(y):
                at.setdefault(x, []).append(y)
    # Where a run has ended, the others go on alone.
    alive = {x: sum(curve[-1][0] >= x for curve in several) for x in at}
    xs = sorted(x for x in at if len(at[x]) == alive[x]) or sorted(at)
    mean = np.array([np.mean(at[x]) for x in xs])
    sd = np.array([np.std(at[x], ddof=1) if len(at[x]) > 1 else 0.0 for x in xs])
    bins = math.ceil(len(xs) / POINTS) or 1
    if bins > 1:  # averages of neighbours
        cut = [slice(i, i + bins) for i in range(0, len(xs), bins)]
        xs = [xs[c][-1] for c in cut]
        mean, sd = (np.array([v[c].mean() for c in cut]) for v in (mean, sd))
    if not xs:
        return [0.0], [math.nan], None
    return xs, mean.tolist(), sd if len(several) > 1 else None


def spread_labels(values: Sequence[float], least: float) -> list[float]:
    """The values, moved apart to ``least``, in their order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = [float(values[i]) for i in order]
    for _ in range(50):
        moved = False
        for i in range(1, len(placed)):
            lack = least - (placed[i] - placed[i - 1])
            if lack > 1e-9 * max(1, abs(least)):
                placed[i - 1] -= lack / 2
                placed[i] += lack / 2
                moved = True
        if not moved:
            break
    result = [0.0] * len(values)
    for place, i in zip(placed, order):
        result[i] = place
    return result


def spans(lines: Sequence[Line], factor: float = 50) -> bool:
    """Whether positive values reach over so much that a logarithm shows them better."""
    values = [y for line in lines for curve in line.runs for _, y in curve]
    values = [y for y in values if math.isfinite(y)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > factor


def span_of(points: Sequence[tuple[str, str, float, float]]) -> float:
    """About the height that points (label, colour, x, y) take on a chart."""
    values = [y for *_, y in points]
    return (max(values) - min(values)) * 1.3 or 1.0


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
