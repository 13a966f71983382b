"""Methods: their tables, how one is begun, and the example in CONTRIBUTING."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmkd import mixin

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / 'tools'
EXAMPLE = (
    'mmkd/losses/sp.py',
    'configs/_base_/methods/sp.py',
    'tests/methods/test_sp.py',
)


@pytest.fixture(scope='module')
def tables() -> dict[str, Any]:
    return runpy.run_path(str(TOOLS / 'methods.py'))


def test_pages_are_as_the_methods_are(tables: dict[str, Any]) -> None:
    tables['main'](['--check'])


def test_an_old_page_is_shown(
    tables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / 'methods.md'
    old.write_text('# Methods\n')
    monkeypatch.setitem(tables['main'].__globals__, 'ROOT', tmp_path)
    monkeypatch.setitem(tables['main'].__globals__, 'pages', lambda: {old: '# New\n'})
    with pytest.raises(SystemExit, match=r'-# Methods\n\+# New\n\n.*run tools/methods'):
        tables['main'](['--check'])
    assert old.read_text() == '# Methods\n'
    tables['main']([])
    assert old.read_text() == '# New\n'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(paper=None), 'kd.py: `method` has neither'),
        (dict(compares=''), "kd.py: `method` has no 'compares'"),
        (dict(group='all'), "kd.py: group 'all'"),
    ],
)
def test_what_a_method_must_say(
    tables: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    words: str,
) -> None:
    about = {**mixin.describe('kd'), **change}
    monkeypatch.setattr(mixin, 'list_methods', lambda: ['kd'])
    monkeypatch.setattr(mixin, 'describe', lambda name: about)
    with pytest.raises(ValueError, match=re.escape(words)):
        tables['read']()


def test_a_method_without_tests_or_values_is_named(
    tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness

    about = mixin.describe('kd')
    about.pop('reconstruction')
    monkeypatch.setattr(mixin, 'list_methods', lambda: ['kd'])
    monkeypatch.setattr(mixin, 'describe', lambda name: about)
    for found, words in (({}, 'test_kd.py'), ({'kd': object()}, "'reconstruction'")):
        monkeypatch.setattr(harness, 'load', lambda found=found: found)
        with pytest.raises(ValueError, match=f'^kd: .*{words}'):
            tables['read']()


def test_the_example_is_what_ships() -> None:
    shown = re.findall(
        r'```python\n(.*?)```', (ROOT / 'CONTRIBUTING.md').read_text(), re.S
    )
    for file in EXAMPLE:
        assert (ROOT / file).read_text() in shown, f'{file} is shown in another form'


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What of the project a method needs."""
    for part in ('mmkd', 'tests', 'tools', 'demo', 'configs', 'pyproject.toml'):
        source, target = ROOT / part, tmp_path / part
        if source.is_file():
            shutil.copy(source, target)
        else:
            ignored = shutil.ignore_patterns('__pycache__')
            shutil.copytree(source, target, ignore=ignored)
    return tmp_path


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(folder), OMP_NUM_THREADS='1'),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_a_new_method_runs(copy: Path) -> None:
    """Begun by the tool it passes all that is asked of a method."""
    made = run(copy, 'tools/new_method.py', 'pqr', '--paper', '2001.00001')
    assert 'Left to do' in made
    index = (copy / 'mmkd/losses/__init__.py').read_text()
    assert 'from mmkd.losses.pqr import PQR as PQR\n' in index
    again = run(copy, '-m', 'pytest', '-p', 'no:cacheprovider', '--method', 'pqr')
    assert ' passed' in again and 'failed' not in again


@pytest.mark.slow
def test_the_example_taken_out_of_the_page_runs(copy: Path) -> None:
    blocks = re.findall(
        r'```python\n(.*?)```', (ROOT / 'CONTRIBUTING.md').read_text(), re.S
    )
    for file, words in zip(EXAMPLE, ('class SP', 'method = dict', 'CASES =')):
        (copy / file).unlink()
        (copy / file).write_text(next(code for code in blocks if words in code))
    done = run(copy, '-m', 'pytest', '-p', 'no:cacheprovider', '--method', 'sp')
    assert ' passed' in done and 'failed' not in done


@pytest.mark.parametrize(
    ('name', 'more', 'words'),
    [
        ('DKD', (), 'small letters'),
        ('dkd', ('--title', 'Other'), "must be 'dkd'"),
        ('kd', (), 'already'),
    ],
)
def test_a_wrong_name_is_refused(
    name: str, more: tuple[str, ...], words: str, capsys: pytest.CaptureFixture
) -> None:
    main = runpy.run_path(str(TOOLS / 'new_method.py'))['main']
    with pytest.raises(SystemExit) as stop:
        main([name, *more])
    assert words in f'{stop.value}{capsys.readouterr().err}'
