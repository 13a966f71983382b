"""Wrong command lines: exit code 2 and a last line that names what is wrong."""

from __future__ import annotations

import logging
import os
import runpy
from pathlib import Path

import pytest
import torch
import zoo

from mmkd.mixin import distill

ROOT = Path(__file__).resolve().parents[1]
STUDENT = f'{ROOT}/configs/demo/cls/student.py'
TEACHER = f'--teacher {ROOT}/configs/demo/cls/teacher.py --teacher-ckpt random'

# A tool with its arguments, and what the last line names. {h} is a folder with files,
# {s} a plain config, {m} makes a distillation of it, {kd} is a distillation's config.
WRONG = [
    ('train no/such.py', 'no/such.py'),
    ('train {h}', '{h}'),
    ('train mmdet::none.py', "no config 'none.py'"),
    ('train mmdte::none.py', 'mmdte'),
    ('train {h}/broken.py', 'broken.py'),
    ('train {h}/text.txt', 'text.txt'),
    ('train {h}/binary.py', 'binary.py'),
    ('train {h}/based.py', 'nowhere.py'),
    ('train {h}/modelless.py', "modelless.py' has no 'model'"),
    ('train {h}/odd_model.py', "odd_model.py' has no 'model'"),
    ('train {s} --method nope --teacher x --teacher-ckpt y', 'nope'),
    ('train {s} --method kd', '--teacher'),
    ('train {s} --method kd --teacher {s}', '--teacher-ckpt'),
    ('train {s} --method kd --teacher-ckpt random', '--teacher'),
    ('train {s} --method frskd --teacher {s}', "'frskd' brings its own teacher"),
    ('train {s} --method frskd --teacher-ckpt x.pth', "'frskd' brings its own teacher"),
    ('train {s} --kind cifar', '--kind needs --method'),
    ('train {s} --pair a_b', '--pair needs --method'),
    ('train {m} --kind nope', 'no form for nope models, only for cls'),
    ('train {m} --pair a_b', "no numbers for the pair 'a_b'; there are"),
    ('train {s} --method kd --teacher no.py --teacher-ckpt random', 'no.py'),
    ('train {s} --method kd --teacher {h} --teacher-ckpt random', '{h}'),
    ('train {s} --method kd --teacher {s} --teacher-ckpt no.pth', 'no.pth'),
    ('train {s} --method {h}/modelless.py', "modelless.py' has no 'terms'"),
    ('train {s} --teacher {s}', '--teacher needs --method'),
    ('train {kd} --method kd', 'distillation already'),
    ('train {kd} --resume no.pth', 'no.pth'),
    ('train {kd} --launcher nope', 'nope'),
    ('train {kd} --cfg-options modle.terms=1', "'modle'; did you mean 'model'"),
    ('train {kd} --cfg-options weight', "'weight' is not of the form"),
    ('train {kd} --cfg-options train_cfg.max_epochs.x=1', 'train_cfg.max_epochs.x'),
    ('train {m} {o} model.terms.loss_kd.wieght=2', "'wieght'; did you mean 'weight'"),
    ('train {m} {o} model.terms.loss_kd.student=head.fcc', "no module 'head.fcc'"),
    ('train {m} {o} model.terms.loss_kd.loss.type=mmkd.KDD', "'mmkd.KDD'"),
    ('train {m} {o} model.terms.loss_kd.loss.tau=hot', "tau: 'hot'"),
    ('train {m} {o} model.techer=x.py', "'techer'; did you mean 'teacher'"),
    ('train {m} {o} model.type=mmkd.Distillre', 'mmkd.Distillre'),
    ('train {m} {o} model.student.type=Clasifier', 'Clasifier'),
    ('train {m} {o} model.student.backbone.dept=18', 'dept'),
    ('train {m} {o} train_cfg.max_epoch=1', 'max_epoch'),
    ('train {m}', 'demo_runs/data/cls/train'),
    ('train {m} {o} train_cfg=None', 'train_cfg'),
    ('train {m} --work-dir {h}/text.txt', 'text.txt'),
    ('train {m} --work-dir {h}/text.txt/below', 'text.txt'),
    ('test {s} no.pth', 'no.pth'),
    ('test {s} {h}', '{h}'),
    ('test {s} {h}/page.pth', 'page.pth'),
    ('test {s} {h}/other.pth', 'other.pth'),
    ('test no.py {h}/other.pth', 'no.py'),
    ('test {h}/modelless.py {h}/other.pth', "modelless.py' has no 'model'"),
    ('test {s} {h}/other.pth --out here.txt', 'here.txt'),
    ('test {s} {h}/other.pth --tta', 'tta_model'),
    ('export_student no.pth {h}/out.pth', 'no.pth'),
    ('export_student {h} {h}/out.pth', '{h}'),
    ('export_student {h}/page.pth {h}/out.pth', 'page.pth'),
    ('export_student {h}/other.pth {h}/out.pth', "other.pth' holds no 'student"),
    ('export_student {h}/other.pth {h}/other.pth', 'is the checkpoint itself'),
    ('export_student {h}/kd.pth {h}/text.txt/out.pth', 'text.txt'),
    ('export_student {h}/kd.pth {h}', '{h}'),
    ('export_student {h}/kd.pth {h}/out.pth --config no.py', 'no.py'),
    ('export_student {h}/kd.pth {h}/out.pth --config {h}/modelless.py', 'modelless'),
    ('build_codebook no.py', 'no.py'),
    ('build_codebook {h}/modelless.py {h}/out.pth', "modelless.py' has no 'model'"),
    ('build_codebook {s} {h}/out.pth', '--checkpoint'),
    ('build_codebook {s} {h}/out.pth --checkpoint no.pth', 'no.pth'),
    ('build_codebook {kd} {h}/out.pth', 'LetKDPenultimate'),
    ('build_codebook {m} {h}/out.pth', 'LetKDPenultimate'),
    ('build_codebook {s} {h}/out.pth --method letkd', '--teacher'),
    ('build_codebook {s} {h}/out.pth --teacher {s}', '--teacher needs --method'),
    ('build_codebook {s} {h}/text.txt', "text.txt' is there already"),
    ('record_teacher no.py {h}/out', 'no.py'),
    ('record_teacher {h}/modelless.py {h}/out', "modelless.py' has no 'model'"),
    ('record_teacher {s} {h}/out', 'Make it one: --method kd'),
    ('record_teacher {s} {h}/out --method frskd', 'no teacher that is trained'),
    ('record_teacher {s} {h}/out --method kd', '--teacher'),
    ('record_teacher {s} {h}/out --teacher {s}', '--teacher needs --method'),
    ('record_teacher {m} {h}/out --which b', '--which b'),
    ('record_teacher {m} {h}/text.txt', 'text.txt'),
    ('report no_such_run', 'no_such_run'),
    ('report {h}/text.txt', 'text.txt'),
    ('report {h}', '{h}'),
    ('check_data nope', 'nope'),
    ('check_data {h}', '{h}'),
    ('check_data {h}/modelless.py', 'modelless.py'),
    ('check_data {h}/dataless.py', 'train_dataloader'),
    ('convert_repdistiller no.pth {h}/out.pth --arch vgg8', 'no.pth'),
    ('convert_repdistiller {h} {h}/out.pth --arch vgg8', '{h}'),
    ('convert_repdistiller {h}/other.pth {h}/out.pth --arch vgg8', 'other.pth'),
    ('convert_repdistiller {h}/other.pth {h}/out.pth --arch vgg', 'vgg'),
]


@pytest.fixture(scope='module')
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are not what they should be."""
    home = tmp_path_factory.mktemp('home')
    (home / 'broken.py').write_text('model = dict(\n')
    (home / 'text.txt').write_text('model = 1\n')
    (home / 'binary.py').write_bytes(bytes(range(256)))
    (home / 'based.py').write_text("_base_ = './nowhere.py'\n")
    (home / 'modelless.py').write_text('a = 1\n')
    (home / 'odd_model.py').write_text('model = 3\n')
    (home / 'dataless.py').write_text('train_dataloader = dict(batch_size=1)\n')
    kd = distill(STUDENT, 'kd', TEACHER.split()[1], 'random')
    kd.dump(home / 'kd.py')
    (home / 'page.pth').write_text('<html>404</html>')
    torch.save(zoo.plain('retinanet').state_dict(), home / 'other.pth')
    torch.save(zoo.distiller('cls').state_dict(), home / 'kd.pth')
    return home


@pytest.mark.parametrize(('line', 'words'), WRONG, ids=[line for line, _ in WRONG])
def test_the_last_line_names_it(
    line: str,
    words: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # for work dirs
    # Loggers of other tests may have kept a stream that is closed by now.
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    m = f'{STUDENT} --method kd {TEACHER}'
    filled = line.format(h=home, s=STUDENT, kd=home / 'kd.py', m=m, o='--cfg-options')
    tool, *argv = filled.split()
    with pytest.raises(SystemExit) as end:
        runpy.run_path(f'{ROOT}/tools/{tool}.py')['main'](argv)
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    last = said.partition('error: ')[2]
    assert words.format(h=home) in last and 'Traceback' not in said, said
    assert len(os.listdir(home)) == 11, 'something was left behind'
