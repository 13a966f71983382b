"""docs/performance.md and the reports beside the results."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mmkd.yardstick import charts, tables
from mmkd.yardstick.clock import Row
from mmkd.yardstick.pairs import ALONE, BY_HAND, PAIRS
from mmkd.yardstick.reading import (
    Results,
    facts,
    machines,
    missing,
    reading,
    reading_of_growth,
    reading_of_memory,
    wrap,
)
from mmkd.yardstick.words import (
    AGAIN,
    GROWTH,
    HEAD,
    LOSSES,
    MISSING,
    RANKS,
    RAZOR,
    STARTUP,
    STEPS,
    TEACHERS,
)

NOISE = 0.02  # two ratios that are less apart than this are called the same


def read(folder: Path) -> Results:
    """The rows of every table that is there."""
    files = {name: folder / f'{name}.json' for name in tables.TABLES}
    found = {n: json.loads(f.read_text()) for n, f in files.items() if f.is_file()}
    for rows in found.values():
        rows.sort(key=_place)
    return found


def _place(row: Row) -> tuple[int, int, int]:
    """Rows of one pair stand together; within it, in the order of the methods."""
    methods = [*BY_HAND, *ALONE]
    pair, method = row.get('pair'), row.get('method')
    return (
        [*PAIRS].index(pair) if pair in PAIRS else len(PAIRS),
        row.get('terms', 1),
        methods.index(method) if method in methods else 0,
    )


def write(folder: Path, root: Path | None) -> str:
    """Write the reports into a folder; or the project's page, if its root is given."""
    results = read(folder)
    if not any(results.values()):
        raise ValueError(f'{folder} has no results yet: name a pair.')
    text = '\n\n'.join(tables.TABLES[name](rows) for name, rows in results.items())
    if 'results' in results:
        text += f'\n\n{tables.parts(results["results"])}'
    if root is None:
        (folder / 'tables.md').write_text(text + '\n')
        draw(results, folder)
    else:
        for old in (root / 'docs/images').glob('performance*.svg'):
            old.unlink()
        draw(results, root / 'docs/images')
        (root / 'docs/performance.md').write_text(page(results))
    return text


def draw(results: Results, folder: Path) -> None:
    """The charts of every machine."""
    for name, chart in (('results', charts.steps), ('growth', charts.growth)):
        for device, rows in machines(results.get(name, [])).items():
            chart(rows, folder / image(name, device))


def image(name: str, device: str) -> str:
    """The file of a machine's chart."""
    slug = re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')
    return f'performance_{name}_{slug}.svg'


def page(results: Results) -> str:
    """docs/performance.md."""
    rows = results.get('results', [])
    commands = [row['command'] for own in results.values() for row in own]
    apart = max((row['disagreement'] or 0.0 for row in rows), default=0.0)
    texts = [HEAD.format(apart=f'{apart:.0e}' if apart else '0, bit for bit')]
    for device, own in machines(rows).items():
        texts.append(steps(device, own))
    for name, write_section in SECTIONS.items():
        if results.get(name):
            texts.append(write_section(results[name]))
    texts.append(MISSING.format(missing=wrap(missing(results))))
    texts.append(AGAIN.format(commands='\n'.join(dict.fromkeys(commands))))
    return '\n\n'.join(texts)


def steps(device: str, rows: list[Row]) -> str:
    """A step on one machine."""
    return STEPS.format(
        device=device,
        facts=wrap(facts(rows)),
        reading=wrap(reading(rows)),
        table=tables.steps(rows),
        image=image('results', device),
        memory=wrap(reading_of_memory(rows)),
        parts=tables.parts(rows),
    )


def losses(rows: list[Row]) -> str:
    """The losses, on every machine."""
    texts = [LOSSES]
    for own in machines(rows).values():
        slow = [row for row in own if row['ratio'][1] > 1 + NOISE]
        most = max(row['ratio'][1] for row in own) - 1
        said = f'{len(slow)} of {len(own)} are slower than their fastest form'
        said += f', the most by {most:.0%}.' if slow else '.'
        texts += [wrap(f'{facts(own)} {said}'), tables.losses(own)]
    return '\n\n'.join(texts)


def growth(rows: list[Row]) -> str:
    """Growth, on every machine."""
    texts = [GROWTH]
    for device, own in machines(rows).items():
        texts.append(wrap(f'{facts(own)} {reading_of_growth(own)}'))
        texts.append(f'![Growth of a step](images/{image("growth", device)})')
        texts.append(tables.growth(own))
    return '\n\n'.join(texts)


def ranks(rows: list[Row]) -> str:
    """Several processes, on every machine."""
    texts = [RANKS]
    for own in machines(rows).values():
        texts += [wrap(f'{facts(own)} {reading(own)}'), tables.ranks(own)]
    return '\n\n'.join(texts)


def teachers(rows: list[Row]) -> str:
    """Teachers, on every machine."""
    texts = [TEACHERS]
    for own in machines(rows).values():
        texts += [wrap(facts(own)), tables.teachers(own)]
        failed = {f'{n}: {text}' for row in own for n, text in row['failed'].items()}
        if failed:
            texts.append(wrap('Not measured: ' + '; '.join(sorted(failed)) + '.'))
    return '\n\n'.join(texts)


def razor(rows: list[Row]) -> str:
    """mmrazor, on every machine."""
    texts = [RAZOR]
    for own in machines(rows).values():
        texts += [wrap(facts(own)), tables.razor(own)]
    return '\n\n'.join(texts)


def startup(rows: list[Row]) -> str:
    """Start-up, on every machine."""
    texts = [STARTUP]
    for own in machines(rows).values():
        texts += [wrap(facts(own)), tables.startup(own)]
    return '\n\n'.join(texts)


SECTIONS = {
    'growth': growth,
    'losses': losses,
    'ranks': ranks,
    'teachers': teachers,
    'razor': razor,
    'startup': startup,
}
