"""What the documents point to exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from urllib.parse import urlparse

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ('configs', 'demo', 'docs', 'tests', 'tools')
DOCUMENTS = sorted(
    [*ROOT.glob('*.md'), *(f for name in FOLDERS for f in (ROOT / name).rglob('*.md'))]
)
# Their docstrings and helps name configs and each other; two write files of new names.
PROGRAMS = sorted(
    file
    for folder in ('tools', 'demo', 'benchmarks')
    for file in (ROOT / folder).rglob('*')
    if file.suffix in ('.py', '.sh') and file.stem not in ('methods', 'new_method')
)

LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
# A path from the root, as in `configs/kd/…` or `tools/train.py`.
PATH = re.compile(
    r'(?<![\w/.:~-])(?:mmkd|requirements|' + '|'.join(FOLDERS) + r')/[\w./-]*[\w/]'
)
UPSTREAM = re.compile(r'\b(mmpretrain|mmdet|mmseg)::([\w./-]+\.py)')

each_document = pytest.mark.parametrize(
    'file', DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT))
)


@each_document
def test_links(file: Path) -> None:
    for target in LINK.findall(file.read_text()):
        address = urlparse(target)
        if address.scheme:  # not fetched: its form only
            assert address.scheme in ('http', 'https') and '.' in address.netloc, target
        elif address.path:
            assert (file.parent / address.path).exists(), target


@pytest.mark.parametrize(
    'file', [*DOCUMENTS, *PROGRAMS], ids=lambda file: str(file.relative_to(ROOT))
)
def test_paths(file: Path) -> None:
    mentioned = {path.rstrip('/') for path in PATH.findall(file.read_text())}
    assert not [p for p in mentioned if not (ROOT / p).exists()]


@each_document
def test_upstream_configs(file: Path) -> None:
    for package, config in UPSTREAM.findall(file.read_text()):
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.origin is not None
        folder = Path(spec.origin).parent / '.mim' / 'configs'
        assert (folder / config).is_file(), f'{package}::{config}'


def test_the_patterns_find_what_is_missing() -> None:
    text = '[a](nowhere.md) `tools/nothing.py` mmdet::no/such.py http://x.org/configs/y'
    assert LINK.findall(text) == ['nowhere.md']
    assert PATH.findall(text) == ['tools/nothing.py']
    assert UPSTREAM.findall(text) == [('mmdet', 'no/such.py')]
