"""docs/performance.md and the reports beside the results."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mmkd.yardstick import charts, tables
from mmkd.yardstick.clock import Row
from mmkd.yardstick.pairs import ALONE, BY_HAND, PAIRS

Results = dict[str, list[Row]]
NOISE = 0.02  # two ratios that are less apart than this are called the same
WORDS = {'mmkd/hand': 'mmkd / by hand', 'mmkd/plain': 'mmkd / alone'}


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


def machines(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of every machine, by its short name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row['device'], []).append(row)
    return found


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
    texts.append(MISSING.format(missing=_wrap(missing(results))))
    texts.append(AGAIN.format(commands='\n'.join(dict.fromkeys(commands))))
    return '\n\n'.join(texts)


def _wrap(text: str) -> str:
    return textwrap.fill(text, 86, break_on_hyphens=False, break_long_words=False)


def _facts(rows: Sequence[Row]) -> str:
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


def memory_reading(rows: Sequence[Row]) -> str:
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


def steps(device: str, rows: list[Row]) -> str:
    """A step on one machine."""
    return STEPS.format(
        device=device,
        facts=_wrap(_facts(rows)),
        reading=_wrap(reading(rows)),
        table=tables.steps(rows),
        image=image('results', device),
        memory=_wrap(memory_reading(rows)),
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
        texts += [_wrap(f'{_facts(own)} {said}'), tables.losses(own)]
    return '\n\n'.join(texts)


def growth(rows: list[Row]) -> str:
    """Growth, on every machine."""
    texts = [GROWTH]
    for device, own in machines(rows).items():
        texts.append(_wrap(f'{_facts(own)} {growth_reading(own)}'))
        texts.append(f'![Growth of a step](images/{image("growth", device)})')
        texts.append(tables.growth(own))
    return '\n\n'.join(texts)


def growth_reading(rows: list[Row]) -> str:
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


def ranks(rows: list[Row]) -> str:
    """Several processes, on every machine."""
    texts = [RANKS]
    for own in machines(rows).values():
        texts += [_wrap(f'{_facts(own)} {reading(own)}'), tables.ranks(own)]
    return '\n\n'.join(texts)


def teachers(rows: list[Row]) -> str:
    """Teachers, on every machine."""
    texts = [TEACHERS]
    for own in machines(rows).values():
        texts += [_wrap(_facts(own)), tables.teachers(own)]
        failed = {f'{n}: {text}' for row in own for n, text in row['failed'].items()}
        if failed:
            texts.append(_wrap('Not measured: ' + '; '.join(sorted(failed)) + '.'))
    return '\n\n'.join(texts)


def razor(rows: list[Row]) -> str:
    """mmrazor, on every machine."""
    texts = [RAZOR]
    for own in machines(rows).values():
        texts += [_wrap(_facts(own)), tables.razor(own)]
    return '\n\n'.join(texts)


def startup(rows: list[Row]) -> str:
    """Start-up, on every machine."""
    texts = [STARTUP]
    for own in machines(rows).values():
        texts += [_wrap(_facts(own)), tables.startup(own)]
    return '\n\n'.join(texts)


SECTIONS = {
    'growth': growth,
    'losses': losses,
    'ranks': ranks,
    'teachers': teachers,
    'razor': razor,
    'startup': startup,
}


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


HEAD = """# What a step costs

Three students with the same weights take turns, step by step, at the same batch in
one process: **alone**, in a distillation loop written **by hand** with the mm
packages and plain torch ([by_hand.py](../mmkd/yardstick/by_hand.py)), and in
**mmkd**. In the first step the losses by hand and in mmkd must agree to 1e-4, or
nothing is measured. The largest relative difference in these tables was {apart}.

Below are medians of the ratios of neighbouring steps, with the quartiles in brackets.
`mmkd / by hand` is what mmkd itself costs; where the quartiles lie on both sides of 1,
no difference is seen. `mmkd / alone` is what distillation costs. `kd × 8` has the same
term eight times. letKD's codebook and SAKD's branch are random, and all terms have
their whole weight. letKD's layers have 4096 and eight times as many templates as there
are classes, whatever the student's size: on small images they are most of the step."""

STEPS = """## On {device}

{facts}

{reading}

{table}

![Parts of a step, and mmkd beside a loop by hand](images/{image})

Where the time and the memory go: shares of a step of mmkd, and the most MiB of tensors
that a step holds beyond what is there before it (without weights and optimizer).
*Rest* is the preprocessing, the optimizer and what mmkd does between its parts.
{memory}

{parts}"""

GROWTH = """## What grows with what

The same three steps while one thing grows. Both axes of the chart are logarithmic:
lines that are parallel grow alike. More terms are more arithmetic, by hand too."""

LOSSES = """## The losses by themselves

Each loss, forward and backward, beside the fastest form of it that we could write
without compiling ([cheapest.py](../mmkd/yardstick/cheapest.py)); they agree to 1e-5,
gradients too. *Least* is the memory of the form that needs least: the most MiB of
tensors beyond the features."""

RANKS = """## Several processes

The same on several processes that average their gradients with gloo: the student alone
in mmengine's DDP, the loop by hand in torch's, and mmkd in mmengine's, in one process
group. A process has its own images; what it waits for the others counts."""

TEACHERS = """## The teacher

The teacher's part of a step: by hand, and how many times faster it is in mmkd with
each of the [teacher_options](free_teacher.md); in brackets how far the term's value is
off."""

RAZOR = """## Beside mmrazor

The same step in mmrazor 1.0.0, with equal weights and equal losses. It does not import
beside torch 2.1 or 2.5, so empty modules stand in for what it searches, prunes and
quantizes with ([razor.py](../mmkd/yardstick/razor.py)). Detectors have its
`FpnTeacherDistill`, as in its config of this pair. `SingleTeacherDistill`, which it has
for everything else, computes the teacher's own losses too, and leaves the teacher's
dropout on (it is off here, since the losses would differ)."""

STARTUP = """## Start-up

Seconds of the processor, medians, until an import is done or a tool has shown its
`--help`; and how much of that is beyond the import of mmengine's model, hooks and
runner, which every training needs."""

MISSING = """## What is missing

{missing}

Weights are random and images noise, so a detector may find more or fewer regions than
in a real training. On a CPU the memory is the sum of what torch's allocator gave and
took back in one step, as `torch.profiler` lists it; buffers of libraries are not in it.
On a GPU it is `max_memory_allocated`. The loops by hand run the teacher as deep as mmkd
does, no deeper, and before the student."""

AGAIN = """## Again

```bash
{commands}
```

`--pairs` also takes the config file of a distillation. Without `--size` and `--batch`
they are small on a CPU and usual on a GPU. `--docs` writes this page from the results
in `--out`.
"""
