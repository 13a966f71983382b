"""The report's figures: drawn once, written as PNG and SVG, and put into the page.

In the page their colours are those of the page's style, so that they follow it into
the dark; that is why every colour here has a name there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mmkd.report.axes import (
    dot_rows,
    heading,
    label_ends,
    logarithmic,
    plot,
    texts_right,
)
from mmkd.report.drawing import (
    GRID,
    INK,
    MUTED,
    PAPER,
    Curve,
    Drawing,
    Line,
    inline,
    mean_curve,
    short,
    si,
    span_of,
    spans,
    spread_labels,
)

SIZE = (5.0, 3.5)
STYLE: Any = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'mmkd',
    'font.family': 'DejaVu Sans',
    'font.size': 12,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.spines.left': False,
    'axes.edgecolor': MUTED,
    'axes.linewidth': 0.8,
    'axes.labelcolor': MUTED,
    'axes.labelsize': 11,
    'axes.axisbelow': True,
    'axes.grid': True,
    'axes.grid.axis': 'y',
    'grid.color': GRID,
    'grid.linewidth': 0.8,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelsize': 11,
    'ytick.labelsize': 11,
    'ytick.major.size': 0,
    'xtick.major.size': 3,
    'text.color': INK,
    'lines.linewidth': 1.9,
    'lines.solid_capstyle': 'round',
    'figure.facecolor': PAPER,
    'axes.facecolor': 'none',
}


class Gallery:
    """Makes figures, and writes each to a folder.

    Args:
        folder: Where PNG and SVG files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def draw(
        self, name: str, alt: str, size: tuple[float, float] = SIZE
    ) -> Iterator[tuple[Figure, list[Drawing]]]:
        """Open a figure; when it is closed, the list holds the drawing."""
        result: list[Drawing] = []
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=size, layout='constrained')
            yield figure, result
            figure.savefig(self.folder / f'{name}.png', dpi=160)
            buffer = io.StringIO()
            meta = {'Date': None, 'Title': name, 'Description': alt}
            figure.savefig(buffer, format='svg', metadata=meta)
        (self.folder / f'{name}.svg').write_text(buffer.getvalue(), encoding='utf-8')
        result.append(Drawing(name, alt, inline(buffer.getvalue(), name, alt)))

    def lines(  # noqa: PLR0913
        self,
        name: str,
        title: str,
        lines: Sequence[Line],
        xlabel: str,
        unit: str = '',
        log: bool = False,
    ) -> Drawing:
        """Curves over training, labelled at their ends."""
        lines = [line for line in lines if any(line.runs)]
        ends = ', '.join(
            f'{ln.label} {short(mean_curve(ln.runs)[1][-1])}' for ln in lines
        )
        alt = f'{title}, over {xlabel}s. At the end: {ends}.'
        with self.draw(name, alt) as (figure, result):
            axes = figure.subplots()
            heading(axes, title, unit)
            plot(axes, lines)
            if log and spans(lines):
                logarithmic(axes)
            axes.set_xlabel(xlabel)
            label_ends(axes, lines)
        return result[0]

    def dots(
        self,
        name: str,
        title: str,
        unit: str,
        rows: Sequence[tuple[str, str, list[float]]],
    ) -> Drawing:
        """One row for each model: its runs as dots, their mean as a large one."""
        parts = [f'{label} {short(float(np.mean(v)))}' for label, _, v in rows]
        alt = f'{title}: {", ".join(parts)}{" " + unit if unit else ""}.'
        height = 1.15 + 0.55 * len(rows)
        with self.draw(name, alt, (SIZE[0], height)) as (figure, result):
            axes = figure.subplots()
            heading(axes, title, unit)
            axes.grid(axis='x')
            axes.grid(visible=False, axis='y')
            dot_rows(axes, rows)
        return result[0]

    def dumbbells(
        self,
        name: str,
        title: str,
        rows: Mapping[str, Mapping[str, float]],
        styles: Mapping[str, tuple[str, bool]],
    ) -> Drawing:
        """Rows of marks on a scale from 0 to 1; ``styles`` are (colour, filled)."""
        parts = [
            f'{row}: ' + ', '.join(f'{k} {v:.2f}' for k, v in marks.items())
            for row, marks in rows.items()
        ]
        height = 1.3 + 0.72 * len(rows)
        with self.draw(name, f'{title}. {"; ".join(parts)}.', (SIZE[0], height)) as (
            figure,
            result,
        ):
            axes = figure.subplots()
            heading(axes, title)
            for y, (row, marks) in enumerate(rows.items()):
                values = list(marks.values())
                axes.hlines(y, min(values), max(values), color=GRID, linewidth=3)
                axes.text(
                    0,
                    1 - (y + 0.12) / len(rows),
                    row,
                    transform=axes.transAxes,
                    fontsize=11,
                    va='center',
                )
                for place, (label, value) in enumerate(marks.items()):
                    colour, filled = styles[label]
                    axes.plot(
                        value,
                        y + 0.13 * (place - (len(marks) - 1) / 2),
                        'o',
                        markersize=8,
                        markerfacecolor=colour if filled else PAPER,
                        markeredgecolor=colour,
                        markeredgewidth=1.8,
                    )
            axes.set_yticks([])
            axes.grid(axis='x')
            axes.set_ylim(len(rows) - 0.5, -0.7)
            axes.set_xlim(
                min(0.0, *(v for m in rows.values() for v in m.values())) - 0.03, 1.03
            )
            axes.set_xlabel('CKA with the teacher')
        return result[0]

    def scatter(
        self,
        name: str,
        title: str,
        points: Sequence[tuple[str, str, float, float]],
        xlabel: str,
        unit: str,
    ) -> Drawing:
        """Cost and quality: (label, colour, cost, value)."""
        parts = [f'{label} {short(y)} at {short(x)}' for label, _, x, y in points]
        with self.draw(name, f'{title}, by {xlabel}: {", ".join(parts)}.') as (
            figure,
            result,
        ):
            axes = figure.subplots()
            heading(axes, title, unit)
            axes.set_xscale('log')
            xs = [x for *_, x, _ in points]
            axes.set_xlim(min(xs) / 2.2, max(xs) * 4.5)
            ys = spread_labels([y for *_, y in points], 0.075 * span_of(points))
            for (label, colour, x, y), shown in zip(points, ys):
                axes.plot(x, y, 'o', color=colour, markersize=8)
                axes.annotate(
                    label,
                    (x, shown),
                    (8, 0),
                    textcoords='offset points',
                    va='center',
                    color=colour,
                    fontsize=11,
                )
            axes.margins(y=0.15)
            axes.set_xlabel(xlabel)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: si(v)))
            axes.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: ''))
        return result[0]

    def shares(
        self, name: str, title: str, lines: Sequence[Line], xlabel: str
    ) -> Drawing:
        """Shares that add up to one, as stacked areas; of several runs the mean."""
        means = {line.label: mean_curve(line.runs) for line in lines}
        xs = next(iter(means.values()))[0]
        stack = [100 * np.asarray(m[1][: len(xs)]) for m in means.values()]
        overall = [f'{ln.label} {s.mean():.0f} %' for ln, s in zip(lines, stack)]
        alt = f'{title}, over {xlabel}s. On average: {", ".join(overall)}.'
        with self.draw(name, alt) as (figure, result):
            axes = figure.subplots()
            heading(axes, title, '%')
            colours = [line.colour for line in lines]
            axes.stackplot(xs, stack, colors=colours, alpha=0.8, edgecolor=PAPER)
            axes.set_ylim(0, 100)
            axes.set_xlim(xs[0], xs[-1] if len(xs) > 1 else xs[0] + 1)
            middles = np.cumsum([s[-1] for s in stack]) - [s[-1] / 2 for s in stack]
            texts_right(axes, lines, list(middles), 8.0)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: si(v)))
            axes.set_xlabel(xlabel)
        return result[0]

    def term(  # noqa: PLR0913
        self,
        name: str,
        title: str,
        lines: Sequence[Line],
        weight: Curve,
        xlabel: str,
        colour: str,
    ) -> Drawing:
        """A term's value, raw and weighted, above its weight."""
        ends = ', '.join(
            f'{ln.label} {short(mean_curve(ln.runs)[1][-1])}' for ln in lines
        )
        last = f'; weight {short(weight[-1][1])}' if weight else ''
        with self.draw(name, f'{title}, over {xlabel}s. At the end: {ends}{last}.') as (
            figure,
            result,
        ):
            top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
            heading(top, title)
            plot(top, lines)
            if spans(lines, 20):
                logarithmic(top)
            label_ends(top, lines)
            xs, ys = zip(*weight) if weight else ((0,), (0,))
            bottom.fill_between(xs, ys, color=colour, alpha=0.25, linewidth=0)
            bottom.plot(xs, ys, color=colour, linewidth=1.4)
            bottom.set_ylim(0, max(*ys, 0, 1e-12) * 1.25)
            bottom.set_yticks([0, max(*ys, 0)])
            bottom.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
            bottom.text(
                0,
                1.03,
                'weight',
                transform=bottom.transAxes,
                fontsize=10.5,
                color=MUTED,
            )
            bottom.set_xlabel(xlabel)
        return result[0]
