"""tests/mutants.py reads the marks in the code, and each of them is of a mutant."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('coverage')
import mutants

CODE = """
@cache
@mended  # same[cache]: only speed
def bent(x):
    y = x + 1  # same[Add -> Sub]: as an example
    y = y + 2  # same: all of them
    # same[number, statement]: alone, before a statement of two lines
    y += abs(
        3, more=False
    )
    return y + 4  # the same[number] in other words
    {}
"""


def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str) -> mutants.Source:
    monkeypatch.setattr(mutants, 'PACKAGE', tmp_path)
    file = tmp_path / 'bent.py'
    file.write_text(CODE.format(more))
    return mutants.Source.read(file)


def test_marks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = read(tmp_path, monkeypatch, '')
    same = {(m.lines[0], m.change) for m in source.mutants if m.same}
    assert same == {
        (2, 'cache'),
        (5, 'Add -> Sub'),
        (6, 'Add -> Sub'),
        (6, '2 -> 3'),
        (6, '2 -> 1'),
        (8, 'AugAssign -> Pass'),
        (8, '3 -> 4'),
        (8, '3 -> 2'),
    }
    asked = {(m.lines[0], m.change) for m in source.mutants if not m.same}
    assert asked == {
        (2, 'mended'),
        (5, '1 -> 2'),
        (5, '1 -> 0'),
        (8, 'Add -> Sub'),
        (8, 'more'),
        (8, 'False -> True'),
        (11, 'Return -> Return'),
        (11, 'Add -> Sub'),
        (11, '4 -> 5'),
        (11, '4 -> 3'),
    }
    assert not source.unread


@pytest.mark.parametrize(
    'mark', ['# same: nothing is here', 'z = x - 5  # same[bool]: no bool is here']
)
def test_a_mark_of_no_mutant_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    mark: str,
):
    source = read(tmp_path, monkeypatch, mark)
    assert source.unread == [12]
    log = mutants.Log(tmp_path / 'log', [source], '')
    mutants.table([source], log)
    assert 'bent.py:12 its mark is of no mutant' in capsys.readouterr().out


def test_every_mark_in_the_package_is_of_a_mutant():
    files = mutants.files_of(mutants.MODULES)
    assert {file.name for file in files} >= {'recorder.py', 'functional.py'}
    sources = [mutants.Source.read(file) for file in files]
    assert not [(source.module, line) for source in sources for line in source.unread]
    assert any(mutant.same for source in sources for mutant in source.mutants)


def test_marks_are_where_mutants_are_made():
    read = set(mutants.files_of(mutants.MODULES))
    for file in mutants.PACKAGE.rglob('*.py'):
        marked = any('# same' in line for line in file.read_text().splitlines())
        assert not marked or file in read, f'nobody reads the marks in {file}'
