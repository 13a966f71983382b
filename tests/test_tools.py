"""The command-line tools: really run, on a network that learns in a second."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import runs
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.fileio import load

from mmkd.build import build_model, model_config, read_config
from mmkd.checkpoints.read import read_checkpoint
from mmkd.checks import LEGACY, check_legacy
from mmkd.launch import compose, merge_options, short_errors, wants_teacher
from mmkd.mixin import distill, list_methods, plain

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / 'tools'
PYTHON = sys.executable
DATA = """
train_dataloader = dict(batch_size=4, dataset=dict(data_root='{data}'))
val_dataloader = dict(dataset=dict(data_root='{data}'))
test_dataloader = dict(dataset=dict(data_root='{data}', data_prefix='val'))
train_cfg = dict(max_epochs=2)
"""
HOOKS = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class SaveRank(Hook):
    def after_train(self, runner):
        state = runner.model.module.state_dict()
        torch.save(state, f'{runner.work_dir}/rank{runner.rank}.pth')
"""


def run(*command: Any, folder: Path, code: int = 0, **env: str) -> str:
    """Run a command in ``folder`` and return what it says."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', **env),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def call(tool: str, *argv: Any) -> None:
    """Run a tool in this process."""
    runpy.run_path(str(TOOLS / f'{tool}.py'))['main']([str(part) for part in argv])


def state_of(file: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(file)[0]['state_dict']


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return set(one) == set(other) and all(
        torch.equal(one[key], other[key]) for key in one
    )


def scores_in(file: Path) -> torch.Tensor:
    return torch.stack([result['pred_score'] for result in load(file)])


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's project: images, ordinary configs, a teacher's weights."""
    home = tmp_path_factory.mktemp('project')
    random = np.random.RandomState(0)
    for place in range(48):
        split = home / 'data' / ('train' if place < 24 else 'val') / str(place % 3)
        split.mkdir(parents=True, exist_ok=True)
        image = random.randint(0, 255, (32, 32), np.uint8)
        cv2.imwrite(str(split / f'{place}.png'), image)
    data = DATA.format(data=home / 'data')
    for name in ('student', 'teacher'):
        base = f"_base_ = '{ROOT}/configs/demo/cls/{name}.py'\n"
        (home / f'{name}.py').write_text(base + data)
    config = distill(home / 'student.py', 'kd', home / 'teacher.py')
    config.model.teacher_ckpt = str(home / 'teacher.pth')
    config.custom_hooks = [dict(type='mmkd.ExportStudent'), dict(type='EMAHook')]
    config.dump(home / 'kd.py')
    (home / 'save_rank.py').write_text(HOOKS)
    (home / 'ranks.py').write_text(
        "_base_ = './kd.py'\n"
        "custom_imports = dict(imports=['mmkd', 'save_rank'])\n"
        "custom_hooks = [dict(type='SaveRank')]\n"
    )
    teacher = build_model(model_config(home / 'teacher.py'), 'teacher')
    torch.save(teacher.state_dict(), home / 'teacher.pth')
    return home


@pytest.fixture(scope='module')
def trained(project: Path) -> Path:
    """The work dir of two epochs of distillation, with EMA."""
    run(PYTHON, TOOLS / 'train.py', 'kd.py', folder=project)
    return project / 'work_dirs' / 'kd'


@pytest.fixture(scope='module')
def scores(project: Path, trained: Path) -> torch.Tensor:
    """What the exported student says of the images, by its plain config."""
    options = [trained / 'student_last.pth', '--out', 'plain.pkl']
    run(PYTHON, TOOLS / 'test.py', 'student.py', *options, folder=project)
    return scores_in(project / 'plain.pkl')


# -- train.py --------------------------------------------------------------------------


@pytest.mark.slow
def test_train_exports_the_ema_student(trained: Path) -> None:
    content, _ = read_checkpoint(trained / 'epoch_2.pth')
    ema, raw = content['state_dict'], content['ema_state_dict']
    student = state_of(trained / 'student_last.pth')
    key = 'backbone.conv1.weight'
    assert torch.equal(student[key], ema[f'student.{key}'])
    assert not torch.equal(student[key], raw[f'module.student.{key}'])
    assert not any('teacher' in key for key in ema)


@pytest.mark.slow
def test_resume_goes_on(trained: Path, project: Path, tmp_path: Path) -> None:
    work_dir = shutil.copytree(trained, tmp_path / 'copy')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    options = ['--work-dir', work_dir, '--resume']
    options += ['--cfg-options', 'train_cfg.max_epochs=3']
    output = run(PYTHON, TOOLS / 'train.py', 'kd.py', *options, folder=project)
    assert 'resumed epoch: 2' in output and 'Epoch(train) [3]' in output
    assert 'Epoch(train) [2]' not in output and 'Epoch(train) [1]' not in output


@pytest.mark.slow
def test_mixin_distils_an_ordinary_config(project: Path) -> None:
    options = ['--method', 'kd', '--teacher', 'teacher.py']
    options += ['--teacher-ckpt', 'teacher.pth']
    options += [
        '--cfg-options',
        'model.terms.loss_kd.weight=2',
        'train_cfg.max_epochs=1',
    ]
    output = run(PYTHON, TOOLS / 'train.py', 'student.py', *options, folder=project)
    work_dir = project / 'work_dirs' / 'student_kd'
    assert 'loss_kd' in output
    model = build_model(model_config(project / 'student.py'), 'student')
    model.load_state_dict(state_of(work_dir / 'student_last.pth'), strict=True)
    assert Config.fromfile(work_dir / 'student.py').model.terms.loss_kd.weight == 2


@pytest.mark.slow
def test_a_foreign_tool_trains_a_distillation(project: Path, tmp_path: Path) -> None:
    import mmpretrain

    tool = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
    options = ['--work-dir', 'here', '--cfg-options', 'train_cfg.max_epochs=1']
    output = run(PYTHON, tool, project / 'kd.py', *options, folder=tmp_path)
    assert 'loss_kd' in output
    assert (tmp_path / 'here' / 'student_last.pth').is_file()


MIXING = ('train', 'build_codebook', 'record_teacher')  # they have --method


@pytest.mark.parametrize('tool', MIXING)
def test_help_is_quick_and_names_the_methods(
    tool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call(tool, '--help')
    said = ' '.join(capsys.readouterr().out.split())
    assert said.endswith(f'Methods: {", ".join(list_methods())}.')
    code = f"import runpy, sys; runpy.run_path('{TOOLS}/{tool}.py')"
    heavy = "print('heavy' if {'torch', 'mmengine'} & set(sys.modules) else 'light')"
    output = subprocess.run(
        [PYTHON, '-c', f'{code}; {heavy}'], capture_output=True, text=True
    )
    assert output.stdout.strip() == 'light'


def composed(tool: str, *argv: Any) -> Config:
    parse = runpy.run_path(str(TOOLS / f'{tool}.py'))['parse_args']
    return compose(parse([str(part) for part in argv]))


@pytest.mark.parametrize('tool', MIXING)
def test_the_same_options_make_the_same_distillation(project: Path, tool: str) -> None:
    out = [] if tool == 'train' else ['out']
    given = ['--method', 'kd', '--teacher', project / 'teacher.py']
    given += ['--teacher-ckpt', 'teacher.pth', '--kind', 'cifar']
    options = ['--cfg-options', 'model.terms.loss_kd.weight=2', 'epochs=[1,2]']
    config = composed(tool, project / 'student.py', *out, *given, *options)
    ours = distill(
        project / 'student.py',
        'kd',
        project / 'teacher.py',
        'teacher.pth',
        kind='cifar',
    )
    ours.merge_from_dict({'model.terms.loss_kd.weight': 2, 'epochs': [1, 2]})
    assert config.to_dict() == ours.to_dict()
    assert config.model.own.weight == 0.1  # of this kind alone


def test_kind_and_pair_choose_numbers(project: Path, tmp_path: Path) -> None:
    (tmp_path / 'mine.py').write_text(
        'terms = dict(loss_kd=dict(student="head.fc", loss=dict(type="mmkd.KD")))\n'
        'cls = dict(type="mmkd.Distiller", terms=terms)\n'
        'seg = dict(cls, terms=dict(loss_kd=dict(terms["loss_kd"], weight=7.0)))\n'
        'pairs = dict(a_b={"terms.loss_kd.loss.tau": 5.0, "inherit": ["head"]})\n'
    )
    given = [project / 'student.py', '--method', tmp_path / 'mine.py']
    given += ['--teacher', project / 'teacher.py', '--teacher-ckpt', 'random']
    plainly = composed('train', *given).model
    assert 'weight' not in plainly.terms.loss_kd and 'inherit' not in plainly
    assert composed('train', *given, '--kind', 'seg').model.terms.loss_kd.weight == 7
    paired = composed('train', *given, '--pair', 'a_b').model
    assert paired.terms.loss_kd.loss.tau == 5 and paired.inherit == ['head']


def test_a_method_that_teaches_itself_wants_no_teacher(project: Path) -> None:
    model = composed('train', project / 'student.py', '--method', 'frskd').model
    assert model.type == 'mmkd.SelfDistiller' and 'teacher_ckpt' not in model
    assert not wants_teacher(dict(type='mmkd.Distiller', teacher=None))
    assert not wants_teacher(dict(type='mmkd.Distiller', teachers=dict(a=1)))
    assert wants_teacher(dict(type='mmkd.Distiller'))


USED = [
    file
    for file in sorted(TOOLS.glob('[a-z]*.py'))
    if file.stem not in ('methods', 'new_method', 'setup_env')  # for who works on mmkd
]


@pytest.mark.parametrize('file', USED, ids=lambda file: file.name)
def test_a_python_without_mmkd_is_told_what_to_type(file: Path, tmp_path: Path) -> None:
    words = dict(test='a b', build_codebook='a', record_teacher='a b', report='a')
    words.update(export_student='a b', convert_repdistiller='a b --arch vgg8')
    words.update(train='a')
    folder = tmp_path / 'tools'
    folder.mkdir()
    for name in (file.name, '_shared.py'):
        shutil.copy(TOOLS / name, folder)
    command = [PYTHON, '-S', '-E', folder / file.name]
    command += words.get(file.stem, '').split()
    students = ROOT / 'configs' / '_base_' / 'students'
    shutil.copytree(students, tmp_path / 'configs' / '_base_' / 'students')
    said = run(*command, folder=tmp_path, code=2)
    assert said.endswith('the Python for which mmkd is installed, then this file\n')
    (tmp_path / 'Makefile').touch()
    said = run(*command, folder=tmp_path, code=2)
    assert said.endswith('    make -C . setup\n    source ./.venv/bin/activate\n')
    (tmp_path / '.venv' / 'bin').mkdir(parents=True)
    (tmp_path / '.venv' / 'bin' / 'activate').touch()
    said = run(*command, folder=folder, code=2)
    assert said.endswith('has no mmkd. Type\n    source ../.venv/bin/activate\n')


def test_tools_can_be_started_by_their_names() -> None:
    for file in [*TOOLS.glob('[a-z]*'), ROOT / 'demo' / 'run.py']:
        if file.is_file():
            assert file.read_text().startswith('#!/usr/bin/env '), file
            assert os.access(file, os.X_OK), f'git update-index --chmod=+x {file}'


GIVEN = '--method kd --teacher {0}/teacher.py --teacher-ckpt {0}/teacher.pth'
MISTAKES = {
    'no such config': ('none.py', 'none.py'),
    'teacher without method': ('{0}/student.py --teacher x.py', '--method'),
    'method without teacher': ('{0}/student.py --method kd', '--teacher'),
    'no checkpoint': (
        '{0}/student.py --method kd --teacher {0}/teacher.py',
        '--teacher-ckpt',
    ),
    'no such method': ('{0}/student.py --method nkd', "['cwd', 'cwt'"),
    'no such teacher': (
        '{0}/student.py --method kd --teacher {0}/none.py --teacher-ckpt x.pth',
        'none.py',
    ),
    'no such checkpoint': (
        '{0}/student.py --method kd --teacher {0}/teacher.py --teacher-ckpt x.pth',
        'x.pth',
    ),
    'distilled twice': ('{0}/kd.py ' + GIVEN, 'distillation already'),
    'legacy': (
        '{0}/student.py --cfg-options lr_config.policy=step',
        "'lr_config'",
    ),
    'not an option': ('{0}/student.py --cfg-options lr', 'KEY=VALUE'),
    'no base batch size': ('{0}/student.py --auto-scale-lr', 'base_batch_size'),
    'no such resume': ('{0}/student.py --resume {0}/none.pth', 'none.pth'),
    'not started by torchrun': ('{0}/student.py --launcher pytorch', 'dist_train.sh'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistakes_end_in_one_message(
    project: Path,
    mistake: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv('RANK', raising=False)
    line, message = MISTAKES[mistake]
    with pytest.raises(SystemExit) as stop:
        call('train', *line.format(project).split())
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert 'error: ' in said and message in said and 'Traceback' not in said


@pytest.mark.skipif(get_device() != 'cpu', reason='there is a GPU')
def test_amp_asks_for_a_gpu(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call('train', project / 'student.py', '--amp')
    assert '--amp: mixed precision needs a GPU' in capsys.readouterr().err


# -- test.py and export_student.py -----------------------------------------------------


@pytest.mark.slow
def test_test_gives_the_plain_student(
    trained: Path, project: Path, scores: torch.Tensor
) -> None:
    options = [trained / 'epoch_2.pth', '--out', 'distiller.pkl', '--cfg-options']
    gone = ['model.teacher=gone.py', 'model.teacher_ckpt=gone.pth']
    output = run(PYTHON, TOOLS / 'test.py', 'kd.py', *options, *gone, folder=project)
    assert 'accuracy/top1' in output
    assert torch.equal(scores_in(project / 'distiller.pkl'), scores)


def test_test_refuses_another_models_weights(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    weights = build_model(model_config(project / 'student.py'), 'it').state_dict()
    del weights['head.fc.bias']
    torch.save(weights, tmp_path / 'part.pth')
    with pytest.raises(SystemExit):
        call('test', project / 'kd.py', tmp_path / 'part.pth', '--work-dir', tmp_path)
    assert 'head.fc.bias' in capsys.readouterr().err


def test_plain_keeps_the_recipe_and_nothing_of_mmkd(project: Path) -> None:
    config = read_config(project / 'kd.py')
    student = plain(config)
    assert student.model.type == 'ImageClassifier'
    assert student.model.data_preprocessor == config.data_preprocessor
    assert [hook['type'] for hook in student.custom_hooks] == ['EMAHook']
    assert config.model.type == 'mmkd.Distiller'  # the one given is left alone


@pytest.fixture
def distilled(project: Path, tmp_path: Path) -> Path:
    """A distiller's checkpoint, never trained."""
    student = build_model(model_config(project / 'student.py'), 'student')
    weights = {f'student.{key}': v for key, v in student.state_dict().items()}
    weights['terms.loss_kd.x'] = torch.zeros(1)
    meta = dict(dataset_meta=dict(classes=('a', 'b')), cfg='long', epoch=3)
    torch.save(dict(state_dict=weights, meta=meta, optimizer={}), tmp_path / 'd.pth')
    return tmp_path / 'd.pth'


def test_export_writes_the_student_alone(
    project: Path, distilled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = distilled.parent / 'new' / 'student.pth'
    call('export_student', distilled, out, '--config', project / 'kd.py')
    content, _ = read_checkpoint(out)
    model = build_model(model_config(project / 'student.py'), 'student')
    model.load_state_dict(content['state_dict'], strict=True)
    assert content['meta'] == dict(dataset_meta=dict(classes=('a', 'b')), epoch=3)
    said = capsys.readouterr().out
    assert f'{len(content["state_dict"])} tensors' in said and 'MB (of' in said
    assert [file.name for file in out.parent.iterdir()] == ['student.pth']


def test_export_refuses_what_is_no_distiller(
    project: Path, distilled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = distilled.parent / 'out.pth'
    for source, config, message in (
        (project / 'teacher.pth', 'kd.py', 'not a distiller'),
        (distilled, 'teacher.py', 'not a checkpoint of this model'),
        (project / 'kd.py', 'kd.py', 'cannot be read as a checkpoint'),
    ):
        with pytest.raises(SystemExit):
            call('export_student', source, out, '--config', project / config)
        assert message in capsys.readouterr().err
        assert not out.exists()


# -- several processes -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(get_device() != 'cpu', reason='NCCL wants a GPU per process')
def test_two_processes_train_as_one(project: Path, tmp_path: Path) -> None:
    env = dict(PORT=runs.free_port(), PYTHON=PYTHON, PYTHONPATH=str(project))
    command = ['bash', TOOLS / 'dist_train.sh', project / 'ranks.py', '2']
    output = run(*command, '--work-dir', tmp_path / 'a b', folder=project, **env)
    assert 'Epoch(val) [2]' in output
    one, other = (torch.load(tmp_path / 'a b' / f'rank{i}.pth') for i in (0, 1))
    trained = [key for key in one if not key.endswith(('mean', 'var', 'tracked'))]
    assert trained and all(torch.equal(one[key], other[key]) for key in trained)
    assert (tmp_path / 'a b' / 'student_last.pth').is_file()


@pytest.mark.slow
@pytest.mark.skipif(get_device() != 'cpu', reason='NCCL wants a GPU per process')
def test_two_processes_test_as_one(
    trained: Path, project: Path, scores: torch.Tensor
) -> None:
    env = dict(PORT=runs.free_port(), PYTHON=PYTHON)
    checkpoint = trained / 'student_last.pth'
    command = ['bash', TOOLS / 'dist_test.sh', project / 'kd.py', checkpoint, '2']
    run(*command, '--out', 'both.pkl', folder=project, **env)
    assert torch.allclose(scores_in(project / 'both.pkl'), scores)


@pytest.mark.slow
@pytest.mark.skipif(get_device() != 'cpu', reason='NCCL wants a GPU per process')
def test_two_nodes_train_together(project: Path, tmp_path: Path) -> None:
    env = dict(
        os.environ, PORT=runs.free_port(), PYTHON=PYTHON, PYTHONPATH=str(project)
    )
    options = ['--work-dir', str(tmp_path), '--cfg-options', 'train_cfg.max_epochs=1']
    command = ['bash', str(TOOLS / 'dist_train.sh'), str(project / 'ranks.py'), '1']
    nodes = []
    for rank in (0, 1):
        with (tmp_path / f'{rank}.txt').open('w') as said:
            nodes.append(
                subprocess.Popen(
                    [*command, *options],
                    env=dict(env, NNODES='2', NODE_RANK=str(rank)),
                    stdout=said,
                    stderr=said,
                )
            )
    try:  # in the end torch's agents wait up to 300 s for each other
        ends = [node.wait(timeout=400) for node in nodes]
    except subprocess.TimeoutExpired:
        ends = [node.poll() for node in nodes]
    for node in nodes:
        node.terminate()
    texts = [(tmp_path / f'{rank}.txt').read_text()[-3000:] for rank in (0, 1)]
    assert ends == [0, 0], '\n'.join(texts)
    one, other = (torch.load(tmp_path / f'rank{i}.pth') for i in (0, 1))
    assert torch.equal(one['student.head.fc.weight'], other['student.head.fc.weight'])


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train'])
def test_scripts_say_how_to_call_them(script: str, tmp_path: Path) -> None:
    usage = run('bash', TOOLS / f'{script}.sh', 'config.py', folder=tmp_path, code=2)
    assert usage.startswith('usage: ') and 'unbound' not in usage


def test_slurm_script_keeps_arguments_whole(tmp_path: Path) -> None:
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    srun.chmod(0o755)
    command = ['bash', TOOLS / 'slurm_train.sh', 'gpu', 'job', 'a b.py', 'w d', '--amp']
    env = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', SRUN_ARGS='-x 1', GPUS='2')
    said = run(*command, folder=tmp_path, **env)
    assert '<a b.py>' in said and '<--work-dir=w d>' in said and '<--amp>' in said
    assert '<-x><1>' in said and '<--ntasks=2>' in said and '<--gres=gpu:2>' in said


# -- what they share -------------------------------------------------------------------


@pytest.mark.parametrize('key', LEGACY)
def test_keys_of_mmcv_1_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"'{key}'"):
        check_legacy(Config({key: dict(type='x')}))
    check_legacy(Config({key: None}))


def test_optimizer_may_be_a_variable() -> None:
    optimizer = dict(type='SGD', lr=0.1)
    check_legacy(
        Config(dict(optimizer=optimizer, optim_wrapper=dict(optimizer=optimizer)))
    )
    other = dict(optimizer=dict(type='SGD', lr=1.0))
    with pytest.raises(ValueError, match='optim_wrapper'):
        check_legacy(Config(dict(optimizer=optimizer, optim_wrapper=other)))


def test_options_are_read_as_by_mmengine() -> None:
    config = Config(dict(a=dict(b=1, c='x')))
    merge_options(config, ['a.b=2.5', 'a.d=[1,(2,3)]', 'e=None', 'f=x=y'])
    assert config.to_dict() == dict(
        a=dict(b=2.5, c='x', d=[1, (2, 3)]), e=None, f='x=y'
    )


def test_short_errors_tell_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    line = test_short_errors_tell_the_cause.__code__.co_firstlineno + 4
    with pytest.raises(SystemExit), short_errors():
        try:
            {}['deep']
        except KeyError as cause:
            raise ValueError('top') from cause
    assert capsys.readouterr().err == (
        f"  because of KeyError('deep'), in {__file__}:{line}\nmmkd: error: top\n"
    )
    with pytest.raises(KeyError), short_errors():
        {}['unexpected']
