"""docs/performance.md and the reports beside the results."""

from __future__ import annotations

import json
from pathlib import Path

from mmkd.yardstick import charts, tables
from mmkd.yardstick.clock import Row
from mmkd.yardstick.pairs import ALONE, BY_HAND, PAIRS
from mmkd.yardstick.reading import Results, machines, missing, wrap
from mmkd.yardstick.sections import SECTIONS, image, steps
from mmkd.yardstick.words import AGAIN, HEAD, MISSING


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
