"""Paths that name their network: the student as its own teacher, one of several."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import zoo
from test_self_distill import build as self_distiller
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS

KD = dict(type='mmkd.KD')
NONE: dict[str, Any] = dict(teacher=None, teacher_ckpt=None)
DEEP = dict(  # SAD: what is shallow learns from what is deep
    student='backbone.layer2',
    teacher='student/backbone.layer3',
    connector=dict(type='mmkd.Align'),
    loss=dict(type='mmkd.MSE'),
)


def losses(distiller: Any) -> dict[str, Tensor]:
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    found: dict[str, Tensor] = distiller(**data, mode='loss')
    return found


def moved(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and p.grad.any() for p in module.parameters())


@pytest.mark.parametrize('settings', [NONE, {}])
def test_shallow_learns_from_deep(settings: dict[str, Any]):
    """Only the left side learns; no teacher is needed, and none is asked."""
    distiller = zoo.distiller('cls', terms=dict(loss_x=DEEP), **settings).train()
    if settings is not NONE:
        distiller.teacher.forward = distiller.teacher.extract_feat = None
    values = losses(distiller)
    values['loss_x'].backward()
    backbone = distiller.student.backbone
    assert values['raw_x'] > 0 and moved(backbone.layer2) and moved(backbone.conv1)
    assert not moved(backbone.layer3)
    assert moved(distiller.terms['loss_x'].connectors)
    distiller.train_step(zoo.batch('cls'), zoo.optimizer(distiller))


def test_without_a_teacher():
    distiller = zoo.distiller('cls', terms=dict(loss_x=DEEP), **NONE)
    assert list(distiller.networks()) == ['student'] and not distiller.frozen
    with pytest.raises(RuntimeError, match='has no teacher'):
        _ = distiller.teacher
    plain = zoo.distiller('cls', terms={}, **NONE).train()
    assert list(losses(plain)) == ['loss']


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (
            dict(terms=zoo.TERMS['cls']),
            'loss_kd: it reads a teacher, and there is none',
        ),
        (dict(inherit=['head']), 'inherit: there is no teacher to inherit from'),
        (
            dict(teacher_ckpt='random'),
            "teacher_ckpt: there is no 'teacher' that it is f",
        ),
        (
            dict(teacher_options={}),
            "teacher_options: there is no 'teacher' that it is f",
        ),
    ],
)
def test_what_needs_a_teacher(settings: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        zoo.distiller('cls', **{**NONE, 'terms': dict(loss_x=DEEP), **settings})


def two(**terms: Any) -> Any:
    """A student of teachers a, half of whom counts, and b."""
    teachers = dict(
        a=dict(model=zoo.student('cls', width=8), ckpt='random', weight=0.5),
        b=dict(model=zoo.student('cls', width=16), ckpt='random'),
    )
    return zoo.distiller('cls', teachers=teachers, terms=terms, **NONE).train()


def test_one_of_several_teachers():
    """A prefix is what ``source`` is: one term, with the weight of that teacher."""
    terms = dict(
        loss_kd=dict(student='head.fc', loss=KD),
        loss_path=dict(student='head.fc', teacher='a/head.fc', loss=KD),
        loss_source=dict(student='head.fc', source='a', loss=KD),
    )
    distiller = two(**terms)
    assert [*distiller.terms] == ['loss_kd_a', 'loss_kd_b', 'loss_path', 'loss_source']
    values = losses(distiller)
    raw = {name: values[name.replace('loss', 'raw')] for name in distiller.terms}
    assert (
        raw['loss_path'] == raw['loss_source'] == raw['loss_kd_a'] != raw['loss_kd_b']
    )
    assert values['loss_path'] == values['loss_source'] == values['loss_kd_a']
    assert values['loss_path'] == raw['loss_path'] * 0.5


@MODELS.register_module(force=True)
class Mixed(Loss):
    """The mean of all teachers' logits."""

    joint = any_levels = True

    @exact
    def forward(self, student: Any, teacher: Any, targets: Any = None) -> Tensor:
        assert list(teacher) == ['first', 'second']
        return (student[0] - sum(teacher.values()) / 2).square().mean()


def test_all_teachers_at_once():
    paths = dict(first='a/head.fc', second='b/<logits>')
    term = dict(student='<logits>', teacher=paths, loss=dict(type='mmkd.Mixed'))
    distiller = two(loss_x=term)
    assert distiller.terms['loss_x'].base_weight == 1
    values = losses(distiller)
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    with torch.no_grad():
        logits = [
            frozen.model(data['inputs'], mode='tensor')
            for frozen in distiller.frozen.values()
        ]
        own = distiller.student(data['inputs'], mode='tensor')
    expected = (own - sum(logits) / 2).square().mean()
    assert values['raw_x'].item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_network_that_is_not_there():
    words = (
        r"loss_x.teacher 'c/head.fc': there is no network 'c', only \['student', 'a'"
    )
    with pytest.raises(ValueError, match=words):
        two(loss_x=dict(student='head.fc', teacher='c/head.fc', loss=KD))


@pytest.mark.parametrize('name', ['student', 'a/b', 'a.b', ''])
def test_names_that_paths_could_not_begin_with(name: str):
    teachers = {name: dict(model=zoo.student('cls'), ckpt='random')}
    with pytest.raises(ValueError, match=f"teachers.{name}: .* and is not 'student'"):
        zoo.distiller('cls', teachers=teachers, terms={}, **NONE)


def test_a_self_teacher_beside_the_student():
    """Both are networks; a role is played by the student."""
    student = dict(
        student='<stages>[1]',
        teacher='student/<stages>[2]',
        connector=dict(type='mmkd.Align'),
        loss=dict(type='mmkd.MSE'),
    )
    own = dict(
        student='backbone[-1]', teacher='teacher/refine.0', loss=dict(type='mmkd.MSE')
    )
    distiller = self_distiller(
        'cls', terms=dict(loss_a=student, loss_b=own), teacher_reads='<stages>[-1]'
    )
    assert distiller.teacher_reads == ['backbone.layer4']
    values = losses(distiller)
    assert values['raw_a'] > 0 and values['raw_b'] > 0
    values['loss_a'].backward()
    assert not moved(distiller.student.backbone.layer3) and not moved(distiller.teacher)


# -- roles -----------------------------------------------------------------------------


def test_the_log_says_what_roles_became(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    for module in ('base', 'self_distill'):
        place = f'mmkd.distillers.{module}.print_log'
        monkeypatch.setattr(place, lambda text, *_: said.append(text))
    term = dict(student='<stages>[-2:]', loss=dict(type='mmkd.AT'))
    distiller = zoo.distiller('cls', terms=dict(loss_x=term))
    became = 'backbone.layer3, backbone.layer4'
    assert said == [
        f'terms.loss_x.student: <stages>[-2:] is {became}',
        f'terms.loss_x.teacher: <stages>[-2:] is {became}',
    ]
    assert distiller.terms['loss_x'].teacher_paths == became.split(', ')
    said.clear()
    self_distiller('cls', teacher_reads='<stages>[-1]')
    assert said == ['teacher_reads: <stages>[-1] is backbone.layer4']


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        (
            '<logit>',
            "student '<logit>': nothing in ImageClassifier plays 'logit'; it has",
        ),
        ('<stages>[4]', r"student '<stages>\[4\]': there is no such one among the 4"),
        ('<stages>.none', "ImageClassifier has no module 'backbone.layer1.none'"),
    ],
)
def test_roles_that_nobody_plays(path: str, words: str):
    with pytest.raises(ValueError, match=words):
        zoo.distiller('cls', terms=dict(loss_x=dict(student=path, loss=KD)))


def test_a_setting_names_its_path():
    for path, words in (
        ('<logit>', "teacher_reads '<logit>': nothing in ImageClassifier plays"),
        ('backbone.-9', "teacher_reads 'backbone.-9': ImageClassifier has no module"),
        ('student/neck', "teacher_reads 'student/neck': 'student/neck' is not a path"),
    ):
        with pytest.raises(ValueError, match=words):
            self_distiller('cls', teacher_reads=path)
