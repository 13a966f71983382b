"""The benchmark: what is by hand and mmkd compute the same; and what they cost."""

from __future__ import annotations

import json
import runpy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import zoo
from mmengine.config import Config

from mmkd.registry import MODELS
from mmkd.yardstick import growth, page, pairs, reading, tables

TOOLS = Path(__file__).resolve().parents[1] / 'tools'

SMALL = ('--size', 32, '--batch', 2, '--steps', 2)


def pair(kind: str, folder: Path) -> str:
    """A distillation of small models, as a config file."""
    student, teacher = zoo.student(kind), zoo.student(kind, width=8)
    model = dict(type='mmkd.Distiller', student=student, teacher=teacher)
    file = folder / f'{kind}.py'
    Config(dict(model=model)).dump(file)
    return str(file)


def run(folder: Path, *argv: Any) -> None:
    threads = torch.get_num_threads()
    words = ['--out', folder, '--device', 'cpu', *argv]
    try:
        runpy.run_path(str(TOOLS / 'benchmark.py'))['main'](list(map(str, words)))
    finally:
        torch.set_num_threads(threads)


def bench(
    kind: str, folder: Path, *argv: Any, name: str = 'results'
) -> list[dict[str, Any]]:
    run(folder, '--pairs', pair(kind, folder), *argv)
    rows: list[dict[str, Any]] = json.loads((folder / f'{name}.json').read_text())
    return rows


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture):
    bench('cls', tmp_path, '--methods', 'kd', 'frskd', *SMALL)
    # The channels of cwd and fitnet differ: a projection; and each term has its own.
    rows = bench('cls', tmp_path, '--methods', 'cwd', 'fitnet', '--terms', 2, *SMALL)
    rows = bench('cls', tmp_path, '--methods', 'kd', *SMALL)  # again: no new row
    assert [row['method'] for row in rows] == ['kd', 'frskd', 'cwd', 'fitnet']
    for row in rows:
        by_hand = row['method'] != 'frskd'
        assert len(row['ratios']) == (3 if by_hand else 1)
        assert (row['disagreement'] is not None) == by_hand
        assert all(row['parts'][part] > 0 for part in row['parts'])
        assert all(mib > 0 for mib in row['memory'].values())
    lines = (tmp_path / 'tables.md').read_text().splitlines()
    assert lines[0].startswith(
        '| teacher_student | term | images | student alone, ms |'
    )
    assert '| cwd × 2 |' in lines[4] and '– |' in lines[3]
    assert all(line.count('|') == 8 for line in lines[:6])
    assert '<svg' in next(tmp_path.glob('performance_results_*.svg')).read_text()
    text = page.page({'results': rows})
    assert all(line in text for line in lines if line)
    assert rows[0]['command'] in text and '{' not in text
    assert '| cls | kd |' in capsys.readouterr().out


@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'mask_rcnn', 'pspnet'])
def test_they_compute_the_same(kind: str, tmp_path: Path):
    argv = ('--size', 64, '--batch', 2, '--steps', 1, '--terms', 2)
    rows = bench(kind, tmp_path, '--methods', *pairs.BY_HAND, *argv)
    assert [row['method'] for row in rows] == [*pairs.BY_HAND]
    assert all(row['disagreement'] <= 1e-4 for row in rows)


@pytest.mark.parametrize('kind', ['faster_rcnn', 'pspnet'])
def test_methods_beside_the_student_alone(kind: str, tmp_path: Path):
    argv = ('--size', 64, '--batch', 2, '--steps', 1)
    rows = bench(kind, tmp_path, '--methods', *pairs.ALONE, *argv)
    assert [row['method'] for row in rows] == [*pairs.ALONE]
    assert all(row['parts']['terms'] > 0 for row in rows)  # none waits for its ramp


def test_another_computation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr('mmkd.losses.cwd.CWD.forward', lambda *_: torch.tensor(1.0))
    with pytest.raises(SystemExit):
        bench('cls', tmp_path, '--methods', 'cwd', 'kd', *SMALL)
    assert 'do not compute the same' in capsys.readouterr().err
    (row,) = json.loads((tmp_path / 'results.json').read_text())
    assert row['method'] == 'kd'  # the others are measured all the same


def test_unknown_names(tmp_path: Path, capsys: pytest.CaptureFixture):
    for words, text in (
        (('--pairs', 'resnet34'), "No pair 'resnet34'. There are: resnet34_resnet18"),
        (('--grow', 'width'), "'width' is none of batch, size, terms, classes"),
        (('--grow', 'batch=1,x'), 'write batch=1,2,4'),
        (('--teacher', 'int8'), 'it is none of none, fold_bn'),
        (('--losses', 'hinge', '--size', 16), 'none of CWD, logits'),
    ):
        with pytest.raises(SystemExit):
            run(tmp_path, *words)
        assert text in capsys.readouterr().err
    for name in pairs.PAIRS:  # those that are named are there
        found = pairs.find_pair(name, None, torch.device('cpu'))
        assert found.name == name and 'Pretrained' not in repr(found)


def test_growth(tmp_path: Path):
    argv = ('--grow', 'batch=2,4', 'classes=5,9', '--methods', 'kd', '--steps', 1)
    rows = bench('cls', tmp_path, *argv, '--size', 32, '--batch', 2, name='growth')
    assert [(row['axis'], row['value']) for row in rows] == [
        *(('batch', 2), ('batch', 4), ('classes', 5), ('classes', 9))
    ]
    assert rows[1]['memory']['mmkd'] > 1.5 * rows[0]['memory']['mmkd']
    assert rows[3]['disagreement'] <= 1e-4
    assert '<svg' in next(tmp_path.glob('performance_growth_*.svg')).read_text()
    assert growth.read_axes((), True) == growth.LARGE
    said = reading.reading_of_growth(rows)
    assert 'batch 2 to 4: mmkd / by hand goes from' in said
    assert '| 9 |' in page.page({'growth': rows})


def test_teachers(tmp_path: Path):
    argv = ('--teacher', 'fold_bn', 'bfloat16', *SMALL)
    (row,) = bench('cls', tmp_path, *argv, name='teachers')
    assert list(row['ms']) == ['hand', 'none', 'fold_bn', 'bfloat16']
    assert not row['failed'] and row['change']['fold_bn'] < 1e-4
    assert 1e-6 < row['change']['bfloat16'] < 0.1
    assert '× (' in tables.teachers([row])


def test_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run(tmp_path, '--losses', '--size', 64, '--steps', 2)
    rows = json.loads((tmp_path / 'losses.json').read_text())
    assert len(rows) == 11
    assert all(row['disagreement'] <= 1e-5 for row in rows)
    assert all(mib > 0 for row in rows for mib in row['memory'].values())
    monkeypatch.setattr('mmkd.yardstick.cheapest.mse_mean', lambda s, t: (s - t).sum())
    with pytest.raises(SystemExit):
        run(tmp_path, '--losses', 'MSE', '--size', 64, '--steps', 1)


def test_mmrazor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """Where it is not, the error says how to get it; its loss must be ours."""
    monkeypatch.setitem(sys.modules, 'mmrazor', None)
    with pytest.raises(SystemExit):
        bench('cls', tmp_path, '--mmrazor', *SMALL)
    assert 'pip install --no-deps --target FOLDER mmrazor' in capsys.readouterr().err
    monkeypatch.setattr('mmkd.yardstick.razor.check', lambda *_: None)
    monkeypatch.setattr('mmkd.yardstick.razor.write', write_like_mmrazor)
    (row,) = bench('cls', tmp_path, '--mmrazor', *SMALL, name='razor')
    assert [*row['ratios']] == ['mmkd/hand', 'mmrazor/hand'] and len(row['memory']) == 3
    assert tables.razor([row]) in page.page({'razor': [row]})
    wrong = partial(write_like_mmrazor, times=2)
    monkeypatch.setattr('mmkd.yardstick.razor.write', wrong)
    with pytest.raises(SystemExit):
        bench('cls', tmp_path, '--mmrazor', *SMALL)
    assert 'In mmrazor the loss is' in capsys.readouterr().err


def write_like_mmrazor(
    kind: str, method: str, models: tuple[Any, Any], term: Any, times: int = 1
) -> Any:
    assert (kind, method) == ('cls', 'kd')
    loss = dict(type='mmkd.KD', tau=term.loss.tau)
    weight = times * term.weight
    return MODELS.build(
        dict(
            type='mmkd.Distiller',
            student=models[0],
            teacher=models[1],
            terms=dict(loss_kd=dict(student='head.fc', loss=loss, weight=weight)),
        )
    ).train()


@pytest.mark.slow
def test_two_processes(tmp_path: Path):
    argv = ('--ranks', 2, '--methods', 'kd', 'fitnet', *SMALL)
    rows = bench('cls', tmp_path, *argv, name='ranks')
    assert [(row['method'], row['ranks']) for row in rows] == [('kd', 2), ('fitnet', 2)]
    assert all(row['disagreement'] <= 1e-4 for row in rows)
    assert all(len(row['ratios']) == 3 for row in rows)
