"""Parts of a chart: its heading, its lines, and their names where they end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mmkd.report.drawing import PAPER, short, si
from mmkd.report.lines import Line, mean_curve, spread_labels


def heading(axes: Any, title: str, unit: str = '') -> None:
    """Title at the left, with the unit that spares an axis label."""
    text = f'{title}, {unit}' if unit else title
    axes.set_title(text, loc='left', fontsize=12.5, fontweight='bold', pad=10)


def plot(axes: Any, lines: Sequence[Line]) -> None:
    """Mean lines, and bands of one standard deviation."""
    for line in lines:
        xs, mean, sd = mean_curve(line.runs)
        (drawn,) = axes.plot(
            xs,
            mean,
            color=line.colour,
            linestyle=(0, (4, 2)) if line.dashed else '-',
            marker='o' if len(xs) < 3 else None,
        )
        drawn.set_gid(f'series {line.key}')
        if sd is not None:
            low, high = np.subtract(mean, sd), np.add(mean, sd)
            band = axes.fill_between(
                xs, low, high, color=line.colour, alpha=0.18, linewidth=0
            )
            band.set_gid(f'series {line.key}')
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: si(v)))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def logarithmic(axes: Any) -> None:
    """A logarithmic height, with plain numbers beside it."""
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda v, _: ''))


def label_ends(axes: Any, lines: Sequence[Line]) -> None:
    """Every line's name where it ends, moved apart where they would touch."""
    ends = [mean_curve(line.runs)[1][-1] for line in lines]
    log = axes.get_yscale() == 'log'
    low, high = axes.get_ylim()
    shown = [math.log10(max(e, 1e-12)) if log else e for e in ends]
    span = math.log10(high / max(low, 1e-12)) if log else high - low
    apart = spread_labels(shown, 0.085 * span)
    texts_right(axes, lines, [10**y if log else y for y in apart])


def texts_right(
    axes: Any, lines: Sequence[Line], heights: list[float], least: float | None = None
) -> None:
    """The names of lines at the right edge, ``least`` apart."""
    heights = spread_labels(heights, least) if least else heights
    for line, height in zip(lines, heights):
        text = axes.annotate(
            line.label,
            (1, height),
            (6, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords='offset points',
            va='center',
            color=line.colour,
            fontsize=11,
            annotation_clip=False,
        )
        text.set_gid(f'series {line.key}')


def dot_rows(axes: Any, rows: Sequence[tuple[str, str, list[float]]]) -> None:
    """Rows of (label, colour, values): small dots, their mean a large one."""
    values = [v for *_, found in rows for v in found]
    margin = 0.08 * ((max(values) - min(values)) or abs(max(values)) or 1)
    axes.set_xlim(min(values) - margin, max(values) + 2.2 * margin)
    for y, (_, colour, found) in enumerate(rows):
        mean = float(np.mean(found))
        if len(found) > 1:
            axes.plot(
                found, [y] * len(found), 'o', color=colour, markersize=5, alpha=0.45
            )
            axes.hlines(
                y, min(found), max(found), color=colour, alpha=0.45, linewidth=1.5
            )
        axes.plot(mean, y, 'o', color=colour, markersize=10, markeredgecolor=PAPER)
        axes.annotate(
            short(mean),
            (max(found), y),
            (9, 0),
            textcoords='offset points',
            va='center',
            fontsize=12,
            fontweight='bold',
            color=colour,
        )
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=12)
    for text, (_, colour, _) in zip(axes.get_yticklabels(), rows):
        text.set_color(colour)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
