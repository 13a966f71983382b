"""The tables of tools/benchmark.py."""

from __future__ import annotations

from mmkd.yardstick.clock import Row
from mmkd.yardstick.steps import PARTS
from mmkd.yardstick.ways import WAYS


def spread(values: list[float] | None) -> str:
    """A median, and the quartiles in brackets."""
    if values is None:
        return '–'
    low, middle, high = values
    return f'{middle:.3f} ({low:.3f}–{high:.3f})'


def label(row: Row) -> str:
    """The method, and how often its term is there."""
    many = f' × {row["terms"]}' if row['terms'] > 1 else ''
    return f'{row["method"]}{many}'


def group(row: Row) -> str:
    """The pair and the method."""
    return f'{row["pair"]}, {row["method"]}'


def milliseconds(value: float) -> str:
    """Milliseconds in words."""
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def mebibytes(value: float | None) -> str:
    """Mebibytes in words."""
    return '–' if value is None else f'{value:.1f}'


def _table(head: list[str], left: int, lines: list[list[str]]) -> str:
    """A table whose first columns are words and the others numbers."""
    rule = ['---'] * left + ['---:'] * (len(head) - left)
    made = ['| ' + ' | '.join(cells) + ' |' for cells in (head, *lines)]
    return '\n'.join([made[0], f'|{"|".join(rule)}|', *made[1:]])


def _ratios(row: Row) -> list[str]:
    names = ('hand/plain', 'mmkd/plain', 'mmkd/hand')
    return [
        milliseconds(row['ms']['plain']),
        *(spread(row['ratios'].get(name)) for name in names),
    ]


RATIOS = ['student alone, ms', 'by hand / alone', 'mmkd / alone', 'mmkd / by hand']


def steps(rows: list[Row]) -> str:
    """Ratios with their quartiles, a line for each pair and method."""
    lines = [
        [row['pair'], label(row), f'{row["batch"]} of {row["size"]}²', *_ratios(row)]
        for row in rows
    ]
    return _table(['teacher_student', 'term', 'images', *RATIOS], 3, lines)


def parts(rows: list[Row]) -> str:
    """Where the time of mmkd's step goes, and the memory of a step in each way."""
    lines = []
    for row in rows:
        whole = sum(row['parts'].values())
        shares = [f'{row["parts"][part] / whole:.1%}' for part in PARTS]
        memory = [mebibytes(row['memory'].get(name)) for name in WAYS]
        lines.append([row['pair'], label(row), *shares, *memory])
    head = ['teacher_student', 'term', *PARTS, 'MiB alone', 'by hand', 'mmkd']
    return _table(head, 2, lines)


def growth(rows: list[Row]) -> str:
    """The same ratios and memory for every value of what grows."""
    lines = [
        [
            *(group(row), row['axis'], str(row['value']), *_ratios(row)),
            *(mebibytes(row['memory'].get(name)) for name in WAYS),
        ]
        for row in rows
    ]
    head = ['', 'grows', 'to', *RATIOS, 'MiB alone', 'by hand', 'mmkd']
    return _table(head, 2, lines)


def ranks(rows: list[Row]) -> str:
    """Ratios of steps of several processes."""
    lines = [
        [
            *(row['pair'], label(row), str(row['ranks'])),
            *(f'{row["batch"]} of {row["size"]}²', *_ratios(row)),
        ]
        for row in rows
    ]
    head = ['teacher_student', 'term', 'processes', 'images each', *RATIOS]
    return _table(head, 2, lines)


def losses(rows: list[Row]) -> str:
    """Time and memory of every loss beside its cheapest form."""
    lines = []
    for row in rows:
        shape = '×'.join(map(str, row['shape'][0]))
        least = min(mib for name, mib in row['memory'].items() if name != 'mmkd')
        lines.append([
            *(row['loss'], shape, milliseconds(row['ms']['mmkd']), row['fastest']),
            *(spread(row['ratio']), mebibytes(row['memory']['mmkd'])),
            *(mebibytes(least), f'{row["memory"]["mmkd"] / max(least, 1e-9):.2f}'),
        ])  # fmt: skip
    head = ['loss', 'student', 'mmkd, ms', 'fastest form', 'mmkd / fastest']
    return _table([*head, 'MiB', 'least', 'mmkd / least'], 2, lines)


def teachers(rows: list[Row]) -> str:
    """How many times faster the teacher is, and how far the loss is off."""
    names = list(dict.fromkeys(name for row in rows for name in row['ms']))
    names.remove('hand')
    lines = []
    for row in rows:
        cells = [row['pair'], row['method'], f'{row["batch"]} of {row["size"]}²']
        cells.append(milliseconds(row['ms']['hand']))
        for name in names:
            there = name in row['ms']
            faster = f'{row["ratios"][name][1]:.2f}×' if there else '–'
            off = f' ({row["change"][name]:.0e})' if there and name != 'none' else ''
            cells.append(faster + off)
        lines.append(cells)
    head = ['teacher_student', 'term', 'images', 'by hand, ms']
    return _table([*head, *(name.replace('+', ', ') for name in names)], 3, lines)


def razor(rows: list[Row]) -> str:
    """Steps of mmkd and mmrazor as multiples of one by hand."""
    lines = [
        [
            *(row['pair'], row['method'], f'{row["batch"]} of {row["size"]}²'),
            milliseconds(row['ms']['hand']),
            *(spread(row['ratios'][f'{way}/hand']) for way in ('mmkd', 'mmrazor')),
            *(mebibytes(row['memory'][way]) for way in ('hand', 'mmkd', 'mmrazor')),
        ]
        for row in rows
    ]
    head = ['teacher_student', 'term', 'images', 'by hand, ms', 'mmkd / by hand']
    head += ['mmrazor / by hand', 'MiB by hand', 'mmkd', 'mmrazor']
    return _table(head, 3, lines)


def startup(rows: list[Row]) -> str:
    """Seconds of the processor until something is imported or has shown its help."""
    lines = [
        [f'`{row["what"]}`', f'{row["seconds"]:.2f}', f'{row["beyond"]:.2f}']
        for row in rows
    ]
    return _table(['', 'seconds', 'beyond mmengine'], 1, lines)


TABLES = {
    'results': steps,
    'growth': growth,
    'ranks': ranks,
    'losses': losses,
    'teachers': teachers,
    'razor': razor,
    'startup': startup,
}
