"""What the figures are made of beside curves: rows of marks, points and areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter

from mmkd.report.drawing import GRID, MUTED, PAPER, short, si
from mmkd.report.lines import Curve, span_of, spread_labels


def dumbbell_rows(
    axes: Any,
    rows: Mapping[str, Mapping[str, float]],
    styles: Mapping[str, tuple[str, bool]],
) -> None:
    """A line for every row, its name above, and its marks on a scale from 0 to 1."""
    for y, (row, marks) in enumerate(rows.items()):
        values = list(marks.values())
        axes.hlines(y, min(values), max(values), color=GRID, linewidth=3)
        place = 1 - (y + 0.12) / len(rows)
        axes.text(0, place, row, transform=axes.transAxes, fontsize=11, va='center')
        for number, (label, value) in enumerate(marks.items()):
            colour, filled = styles[label]
            axes.plot(
                value,
                y + 0.13 * (number - (len(marks) - 1) / 2),
                'o',
                markersize=8,
                markerfacecolor=colour if filled else PAPER,
                markeredgecolor=colour,
                markeredgewidth=1.8,
            )
    axes.set_yticks([])
    axes.grid(axis='x')
    axes.set_ylim(len(rows) - 0.5, -0.7)
    least = min(0.0, *(v for marks in rows.values() for v in marks.values()))
    axes.set_xlim(least - 0.03, 1.03)


def labelled_points(axes: Any, points: Sequence[tuple[str, str, float, float]]) -> None:
    """Points (label, colour, x, y) over a logarithmic x, their labels apart."""
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: si(v)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: ''))


def area(axes: Any, curve: Curve, name: str, colour: str) -> None:
    """A curve with the area below it, and its name above."""
    xs, ys = zip(*curve) if curve else ((0,), (0,))
    axes.fill_between(xs, ys, color=colour, alpha=0.25, linewidth=0)
    axes.plot(xs, ys, color=colour, linewidth=1.4)
    axes.set_ylim(0, max(*ys, 0, 1e-12) * 1.25)
    axes.set_yticks([0, max(*ys, 0)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    axes.text(0, 1.03, name, transform=axes.transAxes, fontsize=10.5, color=MUTED)
