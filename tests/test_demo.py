"""The demo: its images, its configs, and a short run that is interrupted."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmkd.build import build_model, model_config
from mmkd.checkpoint import read_weights
from mmkd.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'demo'))
from digits import TRAIN, prepare  # noqa: E402


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob('*.png')):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp('demo') / 'digits')


def test_images_are_always_the_same(images: Path, tmp_path: Path) -> None:
    assert fingerprint(images) == fingerprint(prepare(tmp_path / 'again'))
    counts = [len(list((images / split).rglob('*.png'))) for split in ('train', 'val')]
    assert counts == [TRAIN, 1797 - TRAIN]


def test_images_are_written_once_and_never_by_halves(tmp_path: Path) -> None:
    folder = tmp_path / 'digits'
    (folder / 'train').mkdir(parents=True)  # cut short, long ago
    prepare(folder)
    times = {file: file.stat().st_mtime_ns for file in folder.rglob('*')}
    prepare(folder)
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob('*')}
    assert [file.name for file in tmp_path.iterdir()] == ['digits']


@pytest.mark.parametrize('method', ['kd', 'cwd', 'cwt'])
def test_configs_distil_the_baseline(method: str) -> None:
    config = model_config(ROOT / 'configs' / 'demo' / f'{method}.py')
    model = MODELS.build(dict(config, teacher_ckpt='random'))
    baseline = build_model(model_config(ROOT / 'configs/demo/student.py'), 'baseline')
    baseline.load_state_dict(model.student.state_dict(), strict=True)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (baseline, model.teacher)]
    assert sizes[1] > 10 * sizes[0]


@pytest.mark.slow
def test_an_interrupted_demo_goes_on(images: Path) -> None:
    command = [sys.executable, 'demo/run.py', '--quick', '--work-dir', images.parent]
    env = dict(os.environ, OMP_NUM_THREADS='1')
    options = dict(cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE)
    with subprocess.Popen(command, **options) as process:
        for line in process.stdout:
            if 'epoch  1' in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stdout
    assert '[1/3] teacher, going on after epoch 1' in done.stdout
    assert done.stdout.count('epoch  1') == 2  # of the other two
    assert 'student alone' in done.stdout and 'student with kd' in done.stdout
    again = subprocess.run(command, **options)
    assert again.stdout.count('(done before)') == 3
    student = build_model(model_config(ROOT / 'configs/demo/student.py'), 'student')
    file = images.parent / 'quick_seed0' / 'kd' / 'student_last.pth'
    student.load_state_dict(read_weights(file), strict=True)
