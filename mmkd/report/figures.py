"""The report's figures: drawn once, written as PNG and SVG, and put into the page.

In the page their colours are those of the page's style, so that they follow it into
the dark; that is why every colour here has a name there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

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
from mmkd.report.drawing import PAPER, Drawing, inline, short, si
from mmkd.report.lines import Curve, Line, mean_curve, spans
from mmkd.report.marks import area, dumbbell_rows, labelled_points
from mmkd.report.theme import SIZE, STYLE


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
            dumbbell_rows(axes, rows, styles)
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
            labelled_points(axes, points)
            axes.set_xlabel(xlabel)
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
            area(bottom, weight, 'weight', colour)
            bottom.set_xlabel(xlabel)
        return result[0]
