"""Mistakes end in an error that names the thing and the fix."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
import torch
import zoo

from mmkd.build import build_model, read_config
from mmkd.launch import MISTAKES
from mmkd.registry import MODELS

KD = dict(type='mmkd.KD')
MSE = dict(type='mmkd.MSE')


def term(student: str, teacher: str | None = None, loss: dict = KD, **settings: Any):
    return dict(loss_x=dict(student=student, teacher=teacher, loss=loss, **settings))


@pytest.mark.parametrize(
    ('kind', 'terms', 'words'),
    [
        # an unknown path, in the student and in the teacher
        ('cls', term('head.fcc'), r"no module 'head.fcc'. Nearest names: head.fc"),
        (
            'cls',
            term('head.fc', 'hed.fc'),
            r"no module 'hed.fc'. Nearest names: .*head",
        ),
        # level counts
        (
            'retinanet',
            term('neck', 'neck[:4]', MSE),
            r"(?s)gives 5 levels and the teacher 4.*\['neck'\].*\['neck\[:4\]'\]",
        ),
        # shapes: both paths and both shapes, and the way out
        (
            'cls',
            term('backbone[-1]', loss=MSE),
            r'(?s)shapes differ at level 0.*backbone.*\(2, 32, 16, 16\).*backbone.*'
            r'\(2, 64, 16, 16\).*mmkd.Align',
        ),
        # not a tensor
        ('retinanet', term('bbox_head[0][9]'), 'no such part'),
        # keys
        ('cls', dict(kd=dict(student='head.fc', loss=KD)), "call it 'loss_kd'"),
        ('cls', {'loss.kd': dict(student='head.fc', loss=KD)}, "no '.'"),
        ('cls', term('head.fc', wieght=2), "nobody reads the key 'wieght'.*'weight'"),
        ('cls', dict(loss_x=dict(student='head.fc')), r"missing \['loss'\]"),
        ('cls', term('head.fc', source='other'), "no teacher 'other'"),
        (
            'cls',
            term('head.fc', schedule=dict(kind='ramp')),
            r"kind: 'ramp' is not 'constant' or",
        ),
        (
            'cls',
            term('head.fc', schedule=dict(kind='stop', at=3)),
            r"loss_x.schedule: nobody reads the key 'at'",
        ),
        # a loss or connector that does not exist, or a wrong argument of it
        ('cls', term('head.fc', loss=dict(type='mmkd.KDD')), 'mmkd.KDD'),
        ('cls', term('head.fc', loss=dict(type='mmkd.KD', taw=1)), 'taw'),
    ],
)
def test_terms(kind: str, terms: dict, words: str):
    with pytest.raises(MISTAKES, match=words):
        zoo.distiller(kind, terms=terms)


def test_other_classes():
    teacher = zoo.student('cls')
    teacher['head']['num_classes'] = 7
    with pytest.raises(ValueError, match='(?s)tells 5 classes apart and the teacher 7'):
        zoo.distiller('cls', teacher=teacher)


def test_a_tap_that_does_not_fire_in_training():
    """A path may exist and be silent: the error says so, naming it."""
    from torch import nn

    student = build_model(zoo.student('cls'), 'student')
    student.head.spare = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="'head.spare'.*did not run"):
        zoo.distiller('cls', student=student, terms=term('head.spare', 'head.fc'))


def test_one_name_for_two_losses():
    terms = dict(loss_cls=dict(student='head.fc', loss=KD))
    distiller = zoo.distiller('faster_rcnn', terms=zoo.TERMS['faster_rcnn'])
    distiller.terms['loss_cls'] = distiller.terms['loss_kd']
    with pytest.raises(ValueError, match=r"\['loss_cls'\]: rename the term"):
        distiller.train_step(zoo.batch('faster_rcnn'), zoo.optimizer(distiller))
    assert terms


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(teacher_ckpt=None), "has no checkpoint.*'random'"),
        (dict(teacher_ckpt='no/such.pth'), "no checkpoint file 'no/such.pth'"),
        (dict(teacher_ckpt='s3://bucket/x.pth'), r'a file or an http\(s\) address'),
        (
            dict(teacher=None, teacher_ckpt=None, teachers=dict(a='x.py')),
            r'teachers.a: give dict\(model=',
        ),
        (dict(teacher=None, teachers=dict(a='x.py')), "no 'teacher_ckpt'"),
        (dict(teachers={}, teacher_ckpt=None), "either 'teacher' or 'teachers'"),
        (dict(teacher=None), "teacher_ckpt: there is no 'teacher' that it is for"),
        (dict(teacher=None, teacher_ckpt=None), 'terms.loss_kd: it reads a teacher'),
        (dict(teacher='no/such.py'), "no config file 'no/such.py'"),
        (dict(teacher='mmpretrain::resnet/none.py'), "has no config 'resnet/none.py'"),
        (dict(inherit=['nek']), "the student has no 'nek'"),
        (dict(inherit=['head']), "'head' differs between student and teacher"),
        (dict(techer='x.py'), "'techer'; did you mean 'teacher'"),
        (dict(input_size=0), r'input_size: 0 is not a count'),
        (dict(input_size=10**9), 'set input_size'),
    ],
)
def test_settings(settings: dict[str, Any], words: str):
    with pytest.raises(MISTAKES, match=words):
        zoo.distiller('cls', **settings)


def test_a_distillation_is_no_student():
    inner = dict(type='mmkd.Distiller', student=zoo.student('cls'), terms={})
    with pytest.raises(ValueError, match='give its student'):
        zoo.distiller('cls', student=inner)


@pytest.mark.parametrize('package', ['mmpretrain', 'mmdet', 'mmseg'])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition('.')[0] == package:
            raise ImportError(f"No module named '{package}'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=f'needs the package mm.*{package}'):
        read_config(f'{package}::some/config.py')


def test_a_missing_package_of_a_dict(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr('mmkd.build._importable', lambda _: False)
    with pytest.raises(
        ImportError, match='is a model of mmdet, which is not installed'
    ):
        build_model(dict(type='NoSuchDetector', _scope_='mmdet'), 'teacher')


def test_a_model_of_another_kind():
    with pytest.raises(ValueError, match='is no model of mmpretrain.*task=dict'):
        MODELS.build(
            dict(
                type='mmkd.Distiller',
                student=WithPreprocessor(),
                teacher=WithPreprocessor(),
                terms={},
            )
        )


class WithPreprocessor(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = torch.nn.Identity()


def test_a_connector_to_nowhere_runs_at_no_cost():
    """Terms may all be off: then the teacher is never asked."""
    distiller = zoo.distiller('cls', weight=0)
    distiller.teacher.forward = None
    distiller.train_step(zoo.batch('cls'), zoo.optimizer(distiller))
