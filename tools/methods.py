#!/usr/bin/env python3
"""Write the tables of methods: docs/methods.md, and those in README and configs/README.

    python tools/methods.py            # after a method came or changed
    python tools/methods.py --check    # are the pages as the methods are?

What they say is read from the methods' files in configs/_base_/methods and from their
tests in tests/methods: nobody types it twice.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GROUPS = (
    'class probabilities',
    'features',
    'relations between images',
    'dense prediction',
    'detection',
    'transformers',
    'the student itself',
    'contrastive, with a memory',
    'data-free',
)
TASKS = {
    'classification': ('cls', 'cifar'),
    'two-stage detection': ('two_stage',),
    'one-stage detection': ('one_stage',),
    'segmentation': ('seg',),
}
BEGIN, END = '<!-- methods: made by tools/methods.py -->', '<!-- /methods -->'


def read() -> dict[str, dict[str, Any]]:
    """What there is to say of each method, or an error that names it."""
    sys.path.insert(0, str(ROOT / 'tests'))
    import harness

    from mmkd.mixin import describe, list_methods

    tests, found = harness.load(), {}
    for name in list_methods():
        about = describe(name)
        where = f'configs/_base_/methods/{name}.py'
        for key in ('name', 'authors', 'compares', 'group'):
            if not about.get(key):
                raise ValueError(f"{where}: `method` has no '{key}'.")
        if not about.get('paper') and not about.get('doi'):
            raise ValueError(f"{where}: `method` has neither 'paper' nor 'doi'.")
        if about['group'] not in GROUPS:
            raise ValueError(f"{where}: group '{about['group']}': one of {GROUPS}")
        test = tests.get(name)
        if test is None:
            raise ValueError(f'{name}: there is no tests/methods/test_{name}.py.')
        about['checked'] = sources(test)
        about['coupled'] = any(c.batch_coupled for c in getattr(test, 'CASES', ()))
        if not about['checked'] and not about.get('reconstruction'):
            raise ValueError(
                f'{name}: neither has its test a value of the authors (GOLDEN, AUTHORS)'
                ' '
                "or a naive derivation (NAIVE), nor says `method` 'reconstruction'."
            )
        found[name] = about
    return found


def sources(test: Any) -> str:
    """What a method's numbers were compared with."""
    golden = [row.source.split()[0] for row in getattr(test, 'GOLDEN', ())]
    golden += [
        str(source).split()[0] for source in getattr(test, 'AUTHORS', {}).values()
    ]
    names = dict.fromkeys(source.rstrip(':,') for source in golden)
    links = [f'[{name.partition("/")[2]}](https://{name})' for name in names]
    return ', '.join(links) or ('naive loops' if getattr(test, 'NAIVE', ()) else '')


def paper(about: Mapping[str, Any]) -> str:
    """The link to the paper."""
    if about.get('paper'):
        number = about['paper']
        if number[0].isdigit():
            return f'[{number}](https://arxiv.org/abs/{number})'
        return f'[paper]({number})'
    return f'[{about["doi"]}](https://doi.org/{about["doi"]})'


def mark(about: Mapping[str, Any], kinds: tuple[str, ...]) -> str:
    """Whether there is a form for a task: ✓, extension, RECONSTRUCTION."""
    there = [kind for kind in kinds if kind in about['kinds']]
    if not there:
        return ''
    guessed = about.get('reconstruction') or {}
    partly = isinstance(guessed, str) or any(kind in guessed for kind in there)
    words = ['✓'] + ['extension'] * any(k in about.get('extension', ()) for k in there)
    return ', '.join(words) + (' †' if partly else '')


def grouped(methods: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of the methods by group; a group without one is left out."""
    groups = {
        g: [n for n, about in methods.items() if about['group'] == g] for g in GROUPS
    }
    return {group: names for group, names in groups.items() if names}


def page(methods: Mapping[str, Any]) -> str:
    """docs/methods.md."""
    lines = [
        '# Methods',
        '',
        '<!-- Made by tools/methods.py from the methods themselves. -->',
        '',
        f'{len(methods)} methods. `tools/train.py my_config.py --method NAME --teacher '
        'my_teacher.py --teacher-ckpt my_teacher.pth` runs any of them.',
        '',
        '- ✓: the method has a form for such models. *Extension*: its paper has none.',
        '- †: RECONSTRUCTION, something of it is guessed, since neither paper nor code '
        'says it. What is guessed stands below the table.',
        '- *Checked against*: whose code gave the values that our tests compare with.',
        '- *Within a batch*: images of a batch are compared with each other: the batch '
        'size on each GPU matters.',
        '',
    ]
    for group, names in grouped(methods).items():
        lines += [f'## {group[0].upper()}{group[1:]}', '', *table(methods, names), '']
        for name in names:
            guessed = methods[name].get('reconstruction')
            if guessed:
                parts = {'': guessed} if isinstance(guessed, str) else guessed
                text = '; '.join(f'{k}: {v}' if k else v for k, v in parts.items())
                lines += [f'- † {methods[name]["name"]}: {text}.']
        lines += [''] if lines[-1] else []
    return '\n'.join(lines)


def table(methods: Mapping[str, Any], names: list[str]) -> list[str]:
    """The methods of a group."""
    head = ['`--method`', 'method', 'what it compares', *TASKS]
    head += ['within a batch', 'checked against']
    rows = [head, ['---'] * len(head)]
    for name in names:
        about = methods[name]
        file = f'../configs/_base_/methods/{name}.py'
        title = f'{about["name"]}, {about["authors"]} {paper(about)}'
        tasks = [mark(about, kinds) for kinds in TASKS.values()]
        coupled = 'yes' if about['coupled'] else ''
        row = [f'[{name}]({file})', title, about['compares'], *tasks, coupled]
        rows.append([*row, about['checked']])
    return ['| ' + ' | '.join(row) + ' |' for row in rows]


def summary(methods: Mapping[str, Any], folder: str) -> str:
    """For README and configs/README: groups, counts and names."""
    lines = ['| what is compared | methods | `--method` |', '|---|--:|---|']
    for group, names in grouped(methods).items():
        links = ', '.join(f'[{n}]({folder}_base_/methods/{n}.py)' for n in names)
        lines.append(f'| {group} | {len(names)} | {links} |')
    return '\n'.join(lines)


def between(text: str, new: str, file: str) -> str:
    """A page with what stands between the marks replaced."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"{file}: the marks '{BEGIN}' and '{END}' are missing.")
    before, rest = text.split(BEGIN, 1)
    return f'{before}{BEGIN}\n{new}\n{END}{rest.split(END, 1)[1]}'


def pages() -> dict[Path, str]:
    """Every page as it should be."""
    methods = read()
    made = {ROOT / 'docs' / 'methods.md': page(methods)}
    for file, folder in (('README.md', 'configs/'), ('configs/README.md', '')):
        text = (ROOT / file).read_text(encoding='utf-8')
        made[ROOT / file] = between(text, summary(methods, folder), file)
    return made


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; fail where a page is not as the methods are: --check',
    )
    args = parser.parse_args(argv)
    try:
        made = pages()
    except ValueError as error:
        sys.exit(f'methods: {error}')
    for file, text in made.items():
        now = file.read_text(encoding='utf-8') if file.is_file() else ''
        if now == text:
            continue
        name = file.relative_to(ROOT)
        if args.check:
            lines = now.splitlines(), text.splitlines()
            diff = difflib.unified_diff(*lines, f'{name}', f'{name} (new)', lineterm='')
            sys.exit('\n'.join([*diff, '', f'{name} is old: run tools/methods.py']))
        file.write_text(text, encoding='utf-8')
        print(f'wrote {name}')


if __name__ == '__main__':
    main()
