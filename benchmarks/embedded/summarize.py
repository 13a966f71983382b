#!/usr/bin/env python3
"""Put the tables and the figure of results.jsonl into docs/results/embedded.md.

What is written there by hand, outside of the marks, stays.

    python benchmarks/embedded/summarize.py
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ttest_rel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'demo'))
import tuned  # noqa: E402

HERE = Path(__file__).resolve().parent
PAGE = ROOT / 'docs' / 'results' / 'embedded.md'
FIGURE = ROOT / 'docs' / 'images' / 'embedded.svg'
MARKS = ('<!-- made by summarize.py -->', '<!-- end -->')
# Name, metric, and what makes it per cent.
TASKS = dict(
    cls=('Classification, ResNet', 'top-1 accuracy, %', 1),
    det=('Detection, Faster R-CNN', 'box AP, %', 100),
    ins=('Instance segmentation, Mask R-CNN', 'mask AP, %', 100),
    seg=('Semantic segmentation, PSPNet', 'mIoU, %', 1),
)
Runs = dict[int, dict[str, Any]]  # by seed


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a file here."""
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def collect() -> dict[str, dict[str, Runs]]:
    """Task -> method -> seed -> row."""
    runs: dict[str, dict[str, Runs]] = defaultdict(lambda: defaultdict(dict))
    for row in read('results.jsonl'):
        runs[row['task']][row['method']][row['seed']] = row
    return runs


def name_of(method: str) -> str:
    """What a reader knows it by."""
    return 'student alone' if method == 'student' else tuned.describe(method)['name']


def compare(task: str, methods: dict[str, Runs]) -> list[dict[str, Any]]:
    """Each method beside the student alone, over the seeds that both have."""
    factor = TASKS[task][2]
    alone = methods['student']
    known = ['student', *tuned.TABLE[task]]
    rows = []
    for method in sorted(methods, key=[*known, *sorted(methods)].index):
        seeds = sorted(set(methods[method]) & set(alone))
        if len(seeds) < 3:
            continue  # not run yet
        values = [methods[method][seed]['metric'] * factor for seed in seeds]
        base = [alone[seed]['metric'] * factor for seed in seeds]
        ratios = [
            methods[method][seed]['cpu_seconds'] / alone[seed]['cpu_seconds']
            for seed in seeds
        ]
        gains = [value - low for value, low in zip(values, base)]
        rows.append(
            dict(
                method=method,
                values=values,
                mean=statistics.mean(values),
                sd=statistics.stdev(values),
                gain=statistics.mean(gains),
                gain_sd=statistics.stdev(gains),
                wins=sum(gain > 0 for gain in gains),
                p=float(ttest_rel(values, base).pvalue) if any(gains) else None,
                time=statistics.median(ratios),
            )
        )
    correct([row for row in rows if row['p'] is not None])
    return rows


def correct(rows: list[dict[str, Any]]) -> None:
    """Holm's correction: several methods are compared with one baseline."""
    largest = 0.0
    ordered = sorted(rows, key=lambda row: row['p'])
    for place, row in enumerate(ordered):
        largest = max(largest, min(1.0, row['p'] * (len(ordered) - place)))
        row['p'] = largest


def table(task: str, rows: list[dict[str, Any]], teacher: float) -> str:
    """One task's table in Markdown."""
    title, metric, _ = TASKS[task]
    seeds = len(rows[0]['values'])
    lines = [
        f'### {title}',
        '',
        f'{metric}, on test images; {seeds} seeds. The teacher has {teacher:.1f}.',
        '',
        '| | mean ± sd | over the student alone | better in | p | time |',
        '|---|---|---|---|---|---|',
    ]
    for row in rows:
        count = len(row['values'])
        gain = f'{row["gain"]:+.1f} ± {row["gain_sd"]:.1f} | {row["wins"]} of {count}'
        if row['p'] is None:
            gain, p = ' | ', ''
        else:
            p = f'{row["p"]:.3f}' if row['p'] >= 0.001 else '< 0.001'
        name, mean = name_of(row['method']), f'{row["mean"]:.1f} ± {row["sd"]:.1f}'
        lines.append(f'| {name} | {mean} | {gain} | {p} | {row["time"]:.2f} |')
    return '\n'.join(lines)


def draw(results: dict[str, list[dict[str, Any]]], teachers: dict[str, float]) -> None:
    """All runs as dots, a panel for each task, two of them in a row."""
    import matplotlib

    matplotlib.use('svg')
    import matplotlib.pyplot as plt

    plt.rcParams.update({'svg.hashsalt': 'mmkd', 'font.size': 9})
    columns, lines = min(2, len(results)), -(-len(results) // 2)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4 * columns, 2.9 * lines), constrained_layout=True
    )
    panels = np.atleast_1d(axes).flatten()
    for axis in panels[len(results) :]:
        axis.axis('off')
    for axis, (task, rows) in zip(panels, results.items()):
        title, metric, _ = TASKS[task]
        for place, row in enumerate(reversed(rows)):
            colour = '#777777' if row['method'] == 'student' else '#0072b2'
            axis.plot(
                row['values'], [place] * len(row['values']), 'o', ms=4, alpha=0.35,
                color=colour, mew=0,
            )  # fmt: skip
            axis.plot(row['mean'], place, '|', ms=14, mew=2, color=colour)
        axis.axvline(teachers[task], color='#d55e00', lw=1)
        axis.text(
            teachers[task], 1, 'teacher ', color='#d55e00', ha='right', va='bottom',
            transform=axis.get_xaxis_transform(),
        )  # fmt: skip
        axis.axvline(rows[0]['mean'], color='#bbbbbb', lw=1, ls=':', zorder=0)
        names = [name_of(row['method']) for row in reversed(rows)]
        axis.set_yticks(range(len(rows)), names)
        axis.set_title(title.replace(', ', '\n'), fontsize=10, loc='left')
        axis.set_xlabel(metric)
        axis.spines[['top', 'right', 'left']].set_visible(False)
        axis.tick_params(axis='y', length=0)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, metadata={'Date': None}, facecolor='white')


def main() -> None:
    """Read, compare, write."""
    runs = collect()
    teachers = {
        row['task']: row['metric'] * TASKS[row['task']][2]
        for row in read('teachers.jsonl')
    }
    results = {task: compare(task, runs[task]) for task in TASKS if task in runs}
    draw(results, teachers)
    tables = '\n\n'.join(
        table(task, rows, teachers[task]) for task, rows in results.items()
    )
    text = PAGE.read_text()
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f'{before}{MARKS[0]}\n\n{tables}\n\n{MARKS[1]}{after}')
    print(f'{PAGE.relative_to(ROOT)} and {FIGURE.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
