"""General files name no method: what one needs of them another may need too."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import mmkd.losses
import mmkd.networks  # noqa: F401
from mmkd.mixin import describe, list_methods
from mmkd.registry import MODELS

ROOT = Path(__file__).parent.parent
# Where methods are at home.
HOMES = ('losses', 'connectors', 'networks', 'codebook', 'backbones')
# What is a method's own outside of them.
OWN = {
    'mmkd/yardstick/by_hand.py',
    'mmkd/yardstick/cases.py',
    'mmkd/yardstick/cheapest.py',
    'tools/build_codebook.py',
}
# Of use to many methods, or a word of the field.
COMMON = {'Align', 'MSE'}


def general() -> list[str]:
    files = [*ROOT.glob('mmkd/**/*.py'), *ROOT.glob('tools/*.py')]
    files += [ROOT / 'demo' / 'run.py', ROOT / 'configs' / '_base_' / 'runtime.py']
    names = [file.relative_to(ROOT) for file in sorted(files)]
    return [str(name) for name in names if name.parts[1] not in HOMES]


@cache
def names_of_methods() -> set[str]:
    """As papers write them, their parts ('SAKD-style'), and the classes in HOMES."""
    titles = [describe(method)['name'] for method in list_methods()]
    words = {word for title in titles for word in re.findall(r'\w+', title)}
    MODELS.import_from_location()
    for name, kind in MODELS.module_dict.items():
        if kind.__module__.startswith(tuple(f'mmkd.{home}.' for home in HOMES[:3])):
            words.add(name)
    capital = {word for word in words if re.search('[A-Z]', word)}
    return {word for word in capital if len(word) > 2} - COMMON


def test_the_names_are_found():
    assert names_of_methods() >= {'CWD', 'FitNet', 'letKD', 'SAKD', 'FRSKDTeacher'}


@pytest.mark.parametrize('file', sorted(set(general()) - OWN))
def test_no_method_is_named(file: str):
    pattern = '|'.join(sorted(names_of_methods()))
    text = (ROOT / file).read_text()
    found = re.findall(rf'.*\b(?:{pattern})\b.*', text)
    assert not found, f'{file}: say it in general, or where the method is at home'
