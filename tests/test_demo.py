"""The demo: its data, its configs, and short runs, one of them interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmkd.build import build_model, build_runner, model_config, read_config
from mmkd.checkpoints.read import read_weights
from mmkd.launch import compose
from mmkd.mixin import list_methods, read_method
from mmkd.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'demo'))
import run as demo  # noqa: E402
import tuned  # noqa: E402
from data import BACKGROUND, DIGITS, SCENES, prepare  # noqa: E402
from stage import Stage  # noqa: E402

TASKS = tuple(demo.TASKS)
each_task = pytest.mark.parametrize('task', TASKS)
each_distillation = pytest.mark.parametrize(
    ('task', 'method'), [(task, name) for task in TASKS for name in tuned.TABLE[task]]
)


@pytest.fixture(autouse=True)
def quick_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 'mmdet::_base_/…' mmengine looks through all of mmdet's models, in vain."""

    def in_vain(package: str, file: str) -> None:
        raise ValueError(file)

    monkeypatch.setattr('mmengine.config.config._get_external_cfg_path', in_vain)


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


def test_data_are_always_the_same_and_never_written_by_halves(
    data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'data'
    (folder / 'cls').mkdir(parents=True)  # cut short, long ago
    assert fingerprint(prepare(folder)) == fingerprint(data)
    times = {file: file.stat().st_mtime_ns for file in folder.rglob('*')}
    prepare(folder)
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob('*')}
    assert [file.name for file in tmp_path.iterdir()] == ['data']


@each_task
def test_stock_data_sets_read_them(found: Path, task: str) -> None:
    config = read_config(tuned.config_of(task, 'student'))
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
    from mmengine.registry import DATASETS

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


@cache
def baseline(task: str) -> nn.Module:
    return build_model(model_config(tuned.config_of(task, 'student')), 'baseline')


@each_distillation
def test_methods_distil_the_baseline(task: str, method: str) -> None:
    trial = tuned.describe(method).get('trial', {})
    settings = {f'model.{key}': value for key, value in trial.items()}
    settings.update(tuned.options(task, method))
    config = tuned.distilled(task, method, Path('random'), settings)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    weights = model.student.state_dict()  # the layers of letKD stay, beside its own
    weights = {key: w for key, w in weights.items() if 'kd_layers' not in key}
    baseline(task).load_state_dict(weights, strict=True)
    if tuned.needs_teacher(task, method):
        models = (baseline(task), model.teacher)
        sizes = [sum(p.numel() for p in m.parameters()) for m in models]
        assert sizes[1] > 3 * sizes[0]


def stages(task: str, method: str, home: Path) -> list[Stage]:
    """Teacher, baseline and distilled student, as the demo makes them."""
    words = ['--task', task, '--method', method, '--work-dir', str(home)]
    made = demo.make_stages(demo.parse_args(words), task, home / 'data')
    made[2].arguments = tuned.arguments(task, method, home / 'teacher.pth')
    return made


@each_distillation
def test_the_command_says_what_the_table_says(
    task: str, method: str, tmp_path: Path
) -> None:
    """As text that a user could type; and the fragment's numbers stay else."""
    command = stages(task, method, tmp_path)[2].command('train')
    parse = runpy.run_path(command[0])['parse_args']
    model = compose(parse(command[1:])).model
    expected = tuned.distilled(task, method, tmp_path / 'teacher.pth').model
    assert model.to_dict() == expected.to_dict()
    own = tuned.TABLE[task][method]
    part = read_method(method, tuned.kinds(task))
    for name, term in part['terms'].items():
        if f'terms.{name}.weight' not in own:
            assert model.terms[name].get('weight', 1.0) == term.get('weight', 1.0)
    for key, value in own.items():
        found = model
        for name in key.split('.'):
            found = found[name]
        assert found == value


def test_a_method_without_tuned_numbers_has_those_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tuned.TABLE, 'cls', {})
    config = tuned.distilled('cls', 'kd', tmp_path)
    assert config.model.terms == read_method('kd', ['cls'])['terms']


@each_task
def test_all_methods_with_a_form_for_a_task_are_offered(task: str) -> None:
    kinds = tuned.kinds(task)
    forms = {name for name in list_methods() if can_read(name, kinds)}
    assert set(tuned.methods(task)) == forms >= set(tuned.TABLE[task])


def can_read(method: str, kinds: list[str]) -> bool:
    try:
        return bool(read_method(method, kinds))
    except ValueError:
        return False


@pytest.mark.parametrize(('task', 'method'), [('cls', 'nope'), ('det', None)])
def test_methods_that_are_not_there_are_named(
    task: str, method: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that nobody knows, and one that has no form for the task."""
    method = method or sorted(set(list_methods()) - set(tuned.methods(task)))[0]
    with pytest.raises(SystemExit):
        demo.parse_args(['--task', task, '--method', method])
    offered = ', '.join(tuned.methods(task))
    assert f"{method}: for '{task}' there are {offered}" in capsys.readouterr().err


def test_what_a_method_needs_is_made_before_it_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codebook; also where the training is stopped, and taken up again."""
    commands = []

    def listen(stage: Stage, command: list[str], validated: Any = None) -> None:
        commands.append(command)
        if not validated:
            Path(command[2]).touch()
        elif len(commands) == 2:
            raise KeyboardInterrupt
        else:
            stage.save(epoch=1)

    monkeypatch.setattr(Stage, 'listen', listen)
    with pytest.raises(KeyboardInterrupt):
        stages('cls', 'letkd', tmp_path)[2].run('')
    stages('cls', 'letkd', tmp_path)[2].run('')
    tools = [Path(command[0]).stem for command in commands]
    assert tools == ['build_codebook', 'train', 'train']
    made = commands[0][2]
    assert f'model.terms.loss_penultimate.loss.codebook={made}' in commands[2]
    assert f'model.terms.loss_intermediate.loss.codebook={made}' in commands[2]
    assert not any('codebook=' in word for word in commands[0])


def test_a_run_of_other_settings_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, first = stages('cls', 'kd', tmp_path)
    first.load()
    first.save(done=True)
    _, _, second = stages('cls', 'kd', tmp_path)
    second.load()
    assert second.state['done']
    table = {'kd': {'terms.loss_kd.weight': 3.0}}
    monkeypatch.setitem(tuned.TABLE, 'cls', table)
    _, _, third = stages('cls', 'kd', tmp_path)
    third.load()
    assert not third.state['done']


@each_task
def test_configs_train(found: Path, task: str, tmp_path: Path) -> None:
    """One iteration of the baseline through the Runner, and one validation batch."""
    config = read_config(tuned.config_of(task, 'student'))
    config.work_dir = str(tmp_path)
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.dataset.indices = 2
        loader.batch_size = 2
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.default_hooks.checkpoint = None
    if task in ('det', 'ins'):  # its metric wants all images
        config.val_dataloader = config.val_evaluator = config.val_cfg = None
    build_runner(config).train()


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
    student = build_model(model_config(tuned.config_of('cls', 'student')), 'student')
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
