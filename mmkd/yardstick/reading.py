"""What can be read from the rows, in sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mmkd.yardstick import tables
from mmkd.yardstick.clock import Row
from mmkd.yardstick.pairs import PAIRS

Results = dict[str, list[Row]]
WORDS = {'mmkd/hand': 'mmkd / by hand', 'mmkd/plain': 'mmkd / alone'}


def machines(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of every machine, by its short name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row['device'], []).append(row)
    return found


def wrap(text: str) -> str:
    """Lines of the page's width."""
    return textwrap.fill(text, 86, break_on_hyphens=False, break_long_words=False)


def facts(rows: Sequence[Row]) -> str:
    """On what machine rows were measured, how, and how busy it was."""
    row = rows[-1]
    threads = f'{row["threads"]} thread{"s" * (row["threads"] > 1)}, '
    on_gpu = row['clock'] == 'CUDA events'
    counts = sorted({row['steps'] for row in rows})
    steps_ = ' or '.join(map(str, counts))
    if len(counts) > 2:
        steps_ = f'{counts[0]} to {counts[-1]}'
    text = (
        f'{row["device"]}, {row["cores"]} cores, {"" if on_gpu else threads}torch '
        f'{row["torch"]}, Python {row["python"]}; {row["clock"]}; {steps_} steps after '
        f'{row.get("warm", 10 if on_gpu else 2)} to warm up.'
    )
    loads = [row['load'] for row in rows if row['load'] is not None]
    if loads and max(loads) > row['cores'] / 2:
        text += (
            ' The machine was busy with other programs meanwhile (load average '
            f'{min(loads):g} to {max(loads):g}), so milliseconds mean little.'
        )
    return text


def reading(rows: Sequence[Row]) -> str:
    """What the ratios to the loop by hand say, and no more than that."""
    ours = [row for row in rows if 'mmkd/hand' in row['ratios']]
    if not ours:
        return ''
    slower = [r for r in ours if r['ratios']['mmkd/hand'][0] > 1]
    worst = max(ours, key=lambda row: row['ratios']['mmkd/hand'][1])
    text = (
        f'Of {len(ours)} steps that were also written by hand, mmkd is slower beyond '
        f'the quartiles in {len(slower)}. '
    )
    if slower:
        names = ', '.join(f'{r["pair"]} {tables.label(r)}' for r in slower)
        text += f'These are: {names}. '
    middle = worst['ratios']['mmkd/hand'][1]
    return text + (
        f'The largest median is {middle:.3f} ({worst["pair"]}, {tables.label(worst)}).'
    )


def reading_of_memory(rows: Sequence[Row]) -> str:
    """How much more memory mmkd holds than the loop by hand."""
    both = [r for r in rows if r['memory'].get('hand') and r['memory'].get('mmkd')]
    if not both:
        return ''
    worst = max(both, key=lambda r: r['memory']['mmkd'] / r['memory']['hand'])
    ratio = worst['memory']['mmkd'] / worst['memory']['hand']
    return (
        f'The most that mmkd holds beyond the loop by hand is {ratio - 1:+.1%} '
        f'({worst["pair"]}, {tables.label(worst)}).'
    )


def reading_of_growth(rows: list[Row]) -> str:
    """From the smallest to the largest value: what becomes of mmkd / by hand."""
    said = []
    for key in dict.fromkeys((tables.group(row), row['axis']) for row in rows):
        own = [row for row in rows if (tables.group(row), row['axis']) == key]
        own.sort(key=lambda row: row['value'])
        name = 'mmkd/hand' if 'mmkd/hand' in own[0]['ratios'] else 'mmkd/plain'
        first, last = (row['ratios'][name][1] for row in (own[0], own[-1]))
        said.append(
            f'{key[0]}, {key[1]} {own[0]["value"]} to {own[-1]["value"]}: '
            f'{WORDS[name]} goes from '
            f'{first:.3f} to {last:.3f}.'
        )
    return ' '.join(said)


def missing(results: Results) -> str:
    """What was not measured."""
    rows = results.get('results', [])
    words = [
        'Other sizes and distillation packages than these. Mixed precision.',
    ]
    for device, own in machines(rows).items():
        absent = [name for name in PAIRS if name not in {row['pair'] for row in own}]
        if absent:
            words.append(f'These pairs of the tool on {device}: {", ".join(absent)}.')
    if not any(row['clock'] == 'CUDA events' for row in rows):
        words.append(
            'A GPU, where a step is shorter and what Python does between the operators '
            'weighs more.'
        )
    names = dict(
        growth='Growth.',
        losses='The losses by themselves.',
        ranks='Several processes.',
        teachers='Cheap teachers.',
        razor='mmrazor.',
        startup='Start-up.',
    )
    return ' '.join([*words, *(t for name, t in names.items() if name not in results)])
