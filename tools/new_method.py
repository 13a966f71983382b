#!/usr/bin/env python3
r"""Begin a method: write its three files, so that they run, and say what is left.

    python tools/new_method.py pkt --paper 1803.10837 --authors "Passalis and Tefas" \
        --group "relations between images"

writes mmkd/losses/pkt.py (a squared error, to be replaced), its configs in
configs/_base_/methods/pkt.py, its tests in tests/methods/test_pkt.py, and a line in
mmkd/losses/__init__.py. Then

    make test ARGS="--method pkt"

runs all that is asked of a method. As they are written the files pass, with a loss that
is not the method's: what stands in CAPITALS is left to do.
"""

from __future__ import annotations

import argparse
import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = runpy.run_path(str(ROOT / 'tools' / 'methods.py'))['GROUPS']

LOSS = '''"""{title}: TITLE OF THE PAPER ({authors}, {paper})."""

from __future__ import annotations

from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class {title}(Loss):
    r"""WHAT IT MATCHES, in a sentence.

    .. math:: \\frac{{1}}{{N}} \\sum_n \\| s_n - t_n \\|^2

    THE PAPER'S WEIGHT for this reduction, and where it stands.
    """

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare features (N, ...)."""
        return (student - teacher).square().flatten(1).sum(1).mean()
'''
FRAGMENT = """# {title} ({paper}, {authors}): WHAT IT COMPARES.
method = dict(
    name='{title}',
    paper='{paper}',
    authors='{authors}',
    compares='WHAT IT COMPARES',
    group='{group}',
    reconstruction='all',  # until the weights have a source and the values are checked
)
# WHERE THE WEIGHT IS FROM.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_{name}=dict(
            student='<pooled>',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.{title}'),
            weight=1.0,
        )
    ),
)
"""
TEST = '''"""{title}: values of the authors' code, and what must not change them."""

from __future__ import annotations

import pytest
from harness import Case, Golden, wave

from mmkd.losses import {title}

CASES = [Case({title}, (4, 6))]
# Golden({title}, (4, 6), value=…, source='github.com/owner/repo commit: Class()')
GOLDEN: list[Golden] = []
NAIVE = ['test_naive']  # where no authors' code can be run


def test_naive() -> None:
    s, t = wave(4, 6), wave(4, 6, phase=1)
    total = sum(float((a - b) ** 2) for a, b in zip(s.flatten(), t.flatten()))
    assert {title}()(s, t).item() == pytest.approx(total / 4, rel=1e-12)
'''
LEFT = """
Left to do, in this order; what is in CAPITALS is to be replaced:
  1. mmkd/losses/{name}.py: the loss, its formula, its title; no layer, no weight.
     What it learns itself, and what it borrows of the teacher, it makes in build(site).
  2. tests/methods/test_{name}.py: run the authors' code on the harness's waves and put
     what it gives into GOLDEN; then the invariances of the loss. Break it once: does
     a test fail?
  3. configs/_base_/methods/{name}.py: taps and weights for each kind of model, with
     their sources; then `reconstruction` names what is still guessed, or goes.
  4. make test ARGS="--method {name}"; make lint types
  5. tools/methods.py, and one line in CHANGELOG.md.
"""


def index(text: str, name: str, title: str, group: str) -> str:
    """The index of losses with one line more, in its group."""
    line = f'from mmkd.losses.{name} import {title} as {title}\n'
    heading = f'# {group[0].upper()}{group[1:]}\n'
    if heading not in text:
        return f'{text.rstrip()}\n\n{heading}{line}'
    before, rest = text.split(heading, 1)
    own, mark, after = rest.partition('\n\n')
    lines = own.rstrip('\n').split('\n')
    place = next((i for i, old in enumerate(lines) if old > line), len(lines))
    lines.insert(place, line.rstrip('\n'))
    return before + heading + '\n'.join(lines) + (mark + after if mark else '\n')


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('name', help='as in --method, in lower case: pkt')
    add('--title', help='how the class is called (default: the name in capitals)')
    add(
        '--paper',
        default='ARXIV NUMBER',
        help='its number on arXiv, 1803.10837; or the address of its page',
    )
    add('--authors', default='AUTHORS', help='"Passalis and Tefas"')
    add(
        '--group',
        default='features',
        choices=GROUPS,
        metavar='GROUP',
        help=f'what is compared: {"; ".join(GROUPS)} (default: features)',
    )
    add('--root', type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if not re.fullmatch('[a-z][a-z0-9_]*', args.name):
        parser.error(f"'{args.name}': small letters, digits and _ only")
    title = args.title or args.name.upper()
    if title.lower() != args.name:
        parser.error(f"--title {title}: in lower case it must be '{args.name}'")
    words = dict(vars(args), title=title)
    files = {
        f'mmkd/losses/{args.name}.py': LOSS,
        f'configs/_base_/methods/{args.name}.py': FRAGMENT,
        f'tests/methods/test_{args.name}.py': TEST,
    }
    there = [file for file in files if (args.root / file).exists()]
    if there:
        sys.exit(f'new_method: there is a {there[0]} already.')
    for file, text in files.items():
        (args.root / file).write_text(text.format(**words), encoding='utf-8')
        print(f'wrote {file}')
    place = args.root / 'mmkd' / 'losses' / '__init__.py'
    text = place.read_text(encoding='utf-8')
    place.write_text(index(text, args.name, title, args.group), encoding='utf-8')
    print('one line more in mmkd/losses/__init__.py')
    print(LEFT.format(**words))


if __name__ == '__main__':
    main()
