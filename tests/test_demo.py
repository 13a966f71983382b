"""The demo: its data, its configs, and short runs, one of them interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmkd.build import build_model, build_runner, model_config
from mmkd.checkpoints.read import read_weights
from mmkd.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs' / 'demo'
sys.path.insert(0, str(ROOT / 'demo'))
import run as demo  # noqa: E402
from data import BACKGROUND, DIGITS, SCENES, prepare  # noqa: E402

TASKS = tuple(demo.TASKS)
each_task = pytest.mark.parametrize('task', TASKS)
each_distillation = pytest.mark.parametrize(
    'file',
    [
        file
        for file in sorted(CONFIGS.glob('*/[a-z]*.py'))
        if file.stem not in ('student', 'teacher')
    ],
    ids=lambda file: f'{file.parent.name}-{file.stem}',
)


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob('*') if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp('demo') / 'data')


@pytest.fixture
def found(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configs find the data."""
    monkeypatch.setenv('DEMO_DATA', str(data))
    return data


def test_data_are_always_the_same(data: Path, tmp_path: Path) -> None:
    assert fingerprint(data) == fingerprint(prepare(tmp_path / 'again'))


def test_data_are_written_once_and_never_by_halves(tmp_path: Path) -> None:
    folder = tmp_path / 'data'
    (folder / 'cls').mkdir(parents=True)  # cut short, long ago
    prepare(folder)
    times = {file: file.stat().st_mtime_ns for file in folder.rglob('*')}
    prepare(folder)
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob('*')}
    assert [file.name for file in tmp_path.iterdir()] == ['data']


@each_task
def test_stock_data_sets_read_them(found: Path, task: str) -> None:
    config = Config.fromfile(CONFIGS / task / 'student.py')
    counts = DIGITS if task == 'cls' else SCENES
    for split, count in counts.items():
        dataset = build_runner_dataset(config, split)
        assert len(dataset) == count
        assert type(dataset).__module__.split('.')[0] in (
            'mmpretrain',
            'mmdet',
            'mmseg',
        )


def build_runner_dataset(config: Config, split: str) -> Any:
    from mmengine.registry import DATASETS, init_default_scope

    init_default_scope(config.default_scope)
    return DATASETS.build(config[f'{split}_dataloader'].dataset)


@pytest.mark.parametrize('split', SCENES)
def test_boxes_masks_and_classes_agree(data: Path, split: str) -> None:
    from pycocotools.coco import COCO

    coco = COCO(str(data / f'scenes/coco/annotations/instances_{split}.json'))
    folder = data / 'scenes/cityscapes/gtFine' / split / 'digits'
    for image in coco.imgs:
        name = f'digits_{image:06d}_000019_gtFine_labelTrainIds.png'
        classes = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        drawn = np.full_like(classes, BACKGROUND)
        for annotation in coco.imgToAnns[image]:
            mask = coco.annToMask(annotation).astype(bool)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            x, y, w, h = annotation['bbox']
            assert (rows[0], rows[-1]) == (y, y + h - 1)
            assert (columns[0], columns[-1]) == (x, x + w - 1)
            drawn[mask] = annotation['category_id']
        assert (drawn == classes).all()


@each_distillation
def test_configs_distil_the_baseline(file: Path) -> None:
    config = model_config(file)
    letkd = file.stem == 'letkd'
    if config['type'] == 'mmkd.Distiller':
        config['teacher_ckpt'] = 'random'
    for term in config['terms'].values():
        if 'codebook' in term['loss']:
            term['loss']['codebook'] = 'random'
        if 'recipe' in term['loss']:
            term['loss']['recipe'] = 'random'
    model = MODELS.build(config)
    baseline = build_model(model_config(file.with_name('student.py')), 'baseline')
    weights = model.student.state_dict()
    if letkd:  # its layers stay
        weights = {key: w for key, w in weights.items() if 'kd_layers' not in key}
    baseline.load_state_dict(weights, strict=True)
    if config['type'] == 'mmkd.Distiller':
        models = (baseline, model.teacher)
        sizes = [sum(p.numel() for p in m.parameters()) for m in models]
        assert sizes[1] > 3 * sizes[0]


@each_task
def test_configs_train(found: Path, task: str, tmp_path: Path) -> None:
    """One iteration of the baseline through the Runner, and one validation batch."""
    config = Config.fromfile(CONFIGS / task / 'student.py')
    config.work_dir = str(tmp_path)
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.dataset.indices = 2
        loader.batch_size = 2
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.default_hooks.checkpoint = None
    if task in ('det', 'ins'):  # its metric wants all images
        config.val_dataloader = config.val_evaluator = config.val_cfg = None
    build_runner(config).train()


def test_unknown_methods_are_named(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        demo.parse_args(['--task', 'all', '--method', 'fitnet'])
    assert "for 'det' there are cwd, cwt, frskd, kd" in capsys.readouterr().err


def run_demo(*args: str, **options: Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, 'demo/run.py', '--quick', *args],
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


@pytest.mark.slow
def test_an_interrupted_demo_goes_on(data: Path) -> None:
    args = ('--work-dir', str(data.parent))
    command = [sys.executable, 'demo/run.py', '--quick', *args]
    env = dict(os.environ, OMP_NUM_THREADS='1')
    options = dict(cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE)
    with subprocess.Popen(command, **options) as process:
        for line in process.stdout:
            if 'epoch  1' in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode
    done = run_demo(*args)
    assert done.returncode == 0, done.stdout
    assert '[1/3] teacher, going on after epoch 1' in done.stdout
    # Of the other two; the teacher's may come again, if it was not validated yet.
    assert done.stdout.partition('[2/3]')[2].count('epoch  1') == 2
    assert 'student alone' in done.stdout and 'student with cwt' in done.stdout
    again = run_demo(*args)
    assert again.stdout.count('(done before)') == 3
    folder = data.parent / 'quick_seed0' / 'cls'
    progress = json.loads((folder / 'cwt' / 'progress.json').read_text())
    assert progress['epoch'] == 6 and progress['result'] > 16  # chance is 10
    student = build_model(model_config(CONFIGS / 'cls/student.py'), 'student')
    student.load_state_dict(read_weights(folder / 'cwt/student_last.pth'), strict=True)
    assert_whole(folder / 'report_cwt')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('task', 'method'),
    [('cls', 'letkd'), ('det', 'sakd'), ('ins', 'kd'), ('seg', 'frskd')],
)
def test_tasks_and_methods(data: Path, task: str, method: str) -> None:
    args = ('--task', task, '--method', method, '--work-dir', str(data.parent))
    done = run_demo(*args)
    assert done.returncode == 0, done.stdout
    assert f'student with {method}' in done.stdout
    assert_whole(data.parent / 'quick_seed0' / task / f'report_{method}')


def assert_whole(report: Path) -> None:
    """A report has all its parts."""
    page = (report / 'report.html').read_text()
    for part in ('result', 'learning', 'distillation', 'learned', 'settings'):
        assert f'<section id="{part}"' in page
    assert 'grad_share' in page or 'gradient' in page
    assert json.loads((report / 'report.json').read_text())
    assert {file.suffix for file in (report / 'figures').iterdir()} == {'.png', '.svg'}
