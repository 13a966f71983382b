"""The benchmark: loops by hand and mmkd compute the same; and what they cost."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import zoo
from mmengine.config import Config
from mmengine.fileio import load

TOOL = Path(__file__).resolve().parents[1] / 'tools' / 'benchmark.py'


def pair(kind: str, folder: Path) -> str:
    """A distillation of small models, as a config file."""
    student, teacher = zoo.student(kind), zoo.student(kind, width=8)
    model = dict(type='mmkd.Distiller', student=student, teacher=teacher)
    file = folder / f'{kind}.py'
    Config(dict(model=model)).dump(file)
    return str(file)


def bench(kind: str, folder: Path, *argv: Any) -> list[dict[str, Any]]:
    threads = torch.get_num_threads()
    words = ['--pairs', pair(kind, folder), '--out', folder, '--device', 'cpu', *argv]
    try:
        runpy.run_path(str(TOOL))['main']([str(word) for word in words])
    finally:
        torch.set_num_threads(threads)
    rows: list[dict[str, Any]] = load(folder / 'results.json')
    return rows


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture):
    small = ('--size', 32, '--batch', 2, '--steps', 2)
    bench('cls', tmp_path, '--methods', 'kd', 'cwt', *small)
    # The channels of cwd and fitnet differ: a projection; and each term has its own.
    rows = bench('cls', tmp_path, '--methods', 'cwd', 'fitnet', '--terms', 2, *small)
    rows = bench('cls', tmp_path, '--methods', 'kd', *small)  # again: no new row
    assert [row['method'] for row in rows] == ['kd', 'cwt', 'cwd', 'fitnet']
    for row in rows:
        by_hand = row['method'] != 'cwt'
        assert len(row['ratios']) == (3 if by_hand else 1)
        assert (row['disagreement'] is not None) == by_hand
        assert sum(row['parts'].values()) == pytest.approx(row['ms']['mmkd'], rel=0.5)
        assert all(row['parts'][part] > 0 for part in row['parts'])
        assert all(mib > 0 for mib in row['memory'].values())
    lines = (tmp_path / 'table.md').read_text().splitlines()
    for line in (
        '| teacher_student | term | images | student alone, ms |',
        '| teacher',
    ):
        assert any(found.startswith(line) for found in lines)
    assert '| cwd × 2 |' in lines[4] and '– |' in lines[3]
    assert all(line.count('|') == 8 for line in lines[:6])
    assert '<svg' in (tmp_path / 'steps.svg').read_text()
    page = runpy.run_path(str(TOOL))['page'](rows)
    assert all(line in page for line in lines if line)
    assert rows[0]['command'] in page and '{' not in page
    assert '| cls | kd |' in capsys.readouterr().out


@pytest.mark.parametrize('kind', ['faster_rcnn', 'mask_rcnn', 'pspnet'])
def test_they_compute_the_same(kind: str, tmp_path: Path):
    argv = ('--size', 64, '--batch', 2, '--steps', 1, '--terms', 2)
    rows = bench(kind, tmp_path, '--methods', 'kd', 'cwd', 'fitnet', *argv)
    assert [row['method'] for row in rows] == ['kd', 'cwd', 'fitnet']
    assert all(row['disagreement'] <= 1e-4 for row in rows)


def test_another_computation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr('mmkd.losses.cwd.CWD.forward', lambda *_: torch.tensor(1.0))
    with pytest.raises(SystemExit):
        bench('cls', tmp_path, '--methods', 'cwd', '--size', 32, '--steps', 1)
    assert 'do not compute the same' in capsys.readouterr().err


def test_unknown_pairs(tmp_path: Path, capsys: pytest.CaptureFixture):
    main = runpy.run_path(str(TOOL))['main']
    with pytest.raises(SystemExit):
        main(['--pairs', 'resnet34', '--out', str(tmp_path)])
    assert "No pair 'resnet34'. There are: resnet34_resnet18" in capsys.readouterr().err
    threads = torch.get_num_threads()
    tool, cpu = runpy.run_path(str(TOOL)), torch.device('cpu')
    for name in tool['PAIRS']:  # those that are named are there
        found = tool['find_pair'](name, None, cpu)
        assert found.name == name and 'Pretrained' not in repr(found)
    torch.set_num_threads(threads)
