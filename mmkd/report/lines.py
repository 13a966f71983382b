"""Lines of a chart: curves of several runs, their mean, and how much they span."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Curve = Sequence[tuple[float, float]]
POINTS = 200


@dataclass
class Line:
    """One line of a chart.

    Args:
        label: What is written at its end.
        colour: One of :mod:`mmkd.report.drawing`.
        runs: A curve for each run; their mean is drawn, and a band of their deviation.
        dashed: Whether it is dashed.
        key: The group it belongs to, for the page's legend.
    """

    label: str
    colour: str
    runs: list[Curve]
    dashed: bool = False
    key: str = ''


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
