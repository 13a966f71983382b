"""The sections of docs/performance.md, one for each table."""

from __future__ import annotations

import re

from mmkd.yardstick import tables
from mmkd.yardstick.clock import Row
from mmkd.yardstick.reading import (
    facts,
    machines,
    reading,
    reading_of_growth,
    reading_of_memory,
    wrap,
)
from mmkd.yardstick.words import (
    GROWTH,
    LOSSES,
    RANKS,
    RAZOR,
    STARTUP,
    STEPS,
    TEACHERS,
)

NOISE = 0.02  # two ratios that are less apart than this are called the same


def image(name: str, device: str) -> str:
    """The file of a machine's chart."""
    slug = re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')
    return f'performance_{name}_{slug}.svg'


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
