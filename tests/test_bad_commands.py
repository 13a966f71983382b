"""Wrong command lines: exit code 2 and a last line that names what is wrong."""

from __future__ import annotations

import logging
import os
import runpy
from pathlib import Path

import pytest
import torch
import zoo

ROOT = Path(__file__).resolve().parents[1]
KD = f'{ROOT}/configs/demo/cls/kd.py'
STUDENT = f'{ROOT}/configs/demo/cls/student.py'
UNTRAINED = 'model.teacher_ckpt=random'

# A tool with its arguments, and what the last line names. {h} is a folder with files.
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
    ('train {t} model.terms.loss_kd.wieght=2', "'wieght'; did you mean 'weight'"),
    ('train {t} model.terms.loss_kd.student=head.fcc', "no module 'head.fcc'"),
    ('train {t} model.terms.loss_kd.loss.type=mmkd.KDD', "'mmkd.KDD'"),
    ('train {t} model.terms.loss_kd.loss.tau=hot', "tau: 'hot'"),
    ('train {t} model.techer=x.py', "'techer'; did you mean 'teacher'"),
    ('train {t} model.type=mmkd.Distillre', 'mmkd.Distillre'),
    ('train {t} model.student.type=Clasifier', 'Clasifier'),
    ('train {t} model.student.backbone.dept=18', 'dept'),
    ('train {t} train_cfg.max_epoch=1', 'max_epoch'),
    ('train {t}', 'demo_runs/data/cls/train'),
    ('train {t} train_cfg=None', 'train_cfg'),
    ('train {t} --work-dir {h}/text.txt', 'text.txt'),
    ('train {t} --work-dir {h}/text.txt/below', 'text.txt'),
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
    ('build_codebook {s} {h}/text.txt', "text.txt' is there already"),
    ('record_teacher no.py {h}/out', 'no.py'),
    ('record_teacher {h}/modelless.py {h}/out', "modelless.py' has no 'model'"),
    ('record_teacher {s} {h}/out', 'no distillation'),
    ('record_teacher {kd} {h}/out --teacher b --cfg-options {u}', '--teacher b'),
    ('record_teacher {kd} {h}/text.txt --cfg-options {u}', 'text.txt'),
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
    t = f'{KD} --cfg-options {UNTRAINED}'
    filled = line.format(h=home, s=STUDENT, kd=KD, t=t, u=UNTRAINED)
    tool, *argv = filled.split()
    with pytest.raises(SystemExit) as end:
        runpy.run_path(f'{ROOT}/tools/{tool}.py')['main'](argv)
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    last = said.partition('error: ')[2]
    assert words.format(h=home) in last and 'Traceback' not in said, said
    assert len(os.listdir(home)) == 10, 'something was left behind'
