"""The charts of tools/benchmark.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmkd.yardstick import tables
from mmkd.yardstick.clock import Row
from mmkd.yardstick.steps import PARTS

BLUE, GREY = '#0072b2', '#333333'
LINES = {  # by hand is wide, so that mmkd on top of it leaves it visible
    'plain': dict(color=GREY, lw=1.2, ls=':', marker='s', ms=3),
    'hand': dict(color='#f0b060', lw=5, solid_capstyle='round'),
    'mmkd': dict(color=BLUE, lw=1.5, marker='o', ms=4),
}
NAMES = {'plain': 'student alone', 'hand': 'by hand', 'mmkd': 'mmkd'}


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use('svg')
    import matplotlib.pyplot as plt

    plt.rcParams.update({'svg.hashsalt': 'mmkd', 'font.size': 9})
    return plt


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={'Date': None}, facecolor='white')
    _pyplot().close(figure)


def steps(rows: list[Row], file: Path) -> None:
    """Ratios of the steps with their quartiles, and the parts of mmkd's step."""
    figure, (left, right) = _pyplot().subplots(
        1, 2, sharey=True, figsize=(9, 0.34 * len(rows) + 1.3), constrained_layout=True
    )
    colours = (BLUE, '#d55e00', '#009e73', '#56b4e9', '#bbbbbb')
    places = range(len(rows))[::-1]
    for place, row in zip(places, rows):
        start, whole = 0.0, sum(row['parts'].values())
        for part, colour in zip(PARTS, colours):
            width = row['parts'][part] / whole * row['ratios']['mmkd/plain'][1]
            words = part if place == places[0] else None
            left.barh(place, width, left=start, color=colour, height=0.7, label=words)
            start += width
        spread = row['ratios'].get('mmkd/hand')
        if spread is not None:
            low, middle, high = spread
            right.plot([low, high], [place, place], color=BLUE, lw=2)
            right.plot(middle, place, 'o', color=BLUE, ms=5)
    left.axvline(1, color=GREY, lw=1, ls=':')
    left.set_xlabel('mmkd / student alone')
    left.set_yticks(places, [f'{row["pair"]}  {tables.label(row)}' for row in rows])
    left.set_ylim(-0.6, len(rows) - 0.4)
    right.axvline(1, color=GREY, lw=1, ls=':')
    right.set_xlabel('mmkd / by hand: median and quartiles')
    figure.legend(loc='outside upper left', ncols=len(PARTS), frameon=False)
    for axis in (left, right):
        axis.spines[['top', 'right', 'left']].set_visible(False)
        axis.tick_params(axis='y', length=0)
    _save(figure, file)


def growth(rows: list[Row], file: Path) -> None:
    """Small multiples: time and memory against what grows, both logarithmic.

    The same thing grows as fast where the lines are parallel.
    """
    groups = list(dict.fromkeys(tables.group(row) for row in rows))
    axes = list(dict.fromkeys(row['axis'] for row in rows))
    kinds = [('ms', 'ms'), ('memory', 'MiB')]
    size = (2.4 * len(axes) + 0.6, 1.9 * len(kinds) * len(groups) + 0.6)
    figure, panels = _pyplot().subplots(
        len(groups) * 2, len(axes), squeeze=False, figsize=size, constrained_layout=True
    )
    for i, group in enumerate(groups):
        for j, axis in enumerate(axes):
            own = [r for r in rows if tables.group(r) == group and r['axis'] == axis]
            for k, (key, unit) in enumerate(kinds):
                panel = panels[2 * i + k][j]
                _grow(panel, sorted(own, key=lambda row: row['value']), key)
                if j == 0:
                    panel.set_ylabel(unit)
                if k == 0:
                    panel.set_title(group if j == 0 else '', fontsize=9, loc='left')
                else:
                    panel.set_xlabel(axis)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper right', ncols=3, frameon=False)
    _save(figure, file)


def _grow(panel: Any, rows: list[Row], key: str) -> None:
    """One panel: a line for each way."""
    for way, style in LINES.items():
        points = [(row['value'], row[key].get(way)) for row in rows]
        points = [(x, y) for x, y in points if y]
        if points:
            panel.plot(*zip(*points), label=NAMES[way], **style)
    panel.set_xscale('log')
    panel.set_yscale('log')
    values = [row['value'] for row in rows]
    panel.set_xticks(values, [str(value) for value in values])
    panel.minorticks_off()
    heights = [y for row in rows for y in row[key].values() if y]
    if heights:
        panel.set_ylim(min(heights) / 1.6, max(heights) * 1.6)
    ticks = [n * 10**k for k in range(-2, 6) for n in (1, 2, 5)]
    inside = [t for t in ticks if panel.get_ylim()[0] <= t <= panel.get_ylim()[1]]
    panel.set_yticks(inside, [f'{t:g}' for t in inside])
    panel.spines[['top', 'right']].set_visible(False)
