"""SelfDistiller: a trainable teacher that reads the student's features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import zoo
from torch import Tensor, nn

from mmkd.registry import MODELS


@MODELS.register_module(force=True)
class ToyTeacher(nn.Module):
    """Logits from the last level; for detectors refined levels instead."""

    def __init__(self, sources: list[tuple[int, ...]], out: int | None = None) -> None:
        super().__init__()
        self.refine = nn.ModuleList(nn.Conv2d(s[0], s[0], 1) for s in sources)
        self.head = nn.Conv2d(sources[-1][0], out, 1) if out else nn.Identity()
        self.out = out

    def forward(self, features: tuple[Tensor, ...]) -> Any:
        refined = tuple(conv(x) for conv, x in zip(self.refine, features))
        if self.out is None:
            return refined
        logits = self.head(refined[-1])
        return logits if features[-1].shape[-1] == 8 and MAP else logits.mean((2, 3))


MAP = False
LAST = {'cls': 'backbone[-1]', 'pspnet': 'backbone[-1]'}


def build(kind: str, **settings: Any) -> Any:
    global MAP
    MAP = kind == 'pspnet'
    dense = kind not in LAST
    term = dict(
        student=LAST.get(kind, 'neck'),
        teacher=[f'refine.{i}' for i in range(5 if dense else 1)],
        loss=dict(type='mmkd.MSE'),
    )
    config: dict[str, Any] = dict(
        type='mmkd.SelfDistiller',
        student=zoo.student(kind),
        teacher=dict(type='mmkd.ToyTeacher', out=None if dense else zoo.CLASSES),
        teacher_reads=LAST.get(kind, 'neck'),
        terms=dict(loss_feature=term),
    )
    return MODELS.build({**config, **settings}).train()


def losses(distiller: Any, kind: str) -> dict[str, Any]:
    data = distiller.data_preprocessor(zoo.batch(kind))
    torch.manual_seed(0)
    return distiller(**data, mode='loss')


def size(values: Any) -> float:
    return float(sum(p.grad.abs().sum() for p in values if p.grad is not None))


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_step(kind: str):
    """Everything learns; the student's and the self-teacher's own losses are logged."""
    distiller = build(kind)
    total, log = distiller.parse_losses(losses(distiller, kind))
    total.backward()
    assert log['raw_feature'] > 0
    assert [key for key in log if key.startswith('teacher_') and 'loss' in key]
    assert size(distiller.teacher.parameters()) > 0
    assert size(distiller.student.parameters()) > 0


def test_distillation_does_not_reach_the_teacher():
    distiller = build('cls')
    losses(distiller, 'cls')['loss_feature'].backward()
    assert size(distiller.teacher.parameters()) == 0
    assert size(distiller.student.backbone.parameters()) > 0


@pytest.mark.parametrize('detach', [False, True])
def test_supervision_reaches_the_student_unless_detached(detach: bool):
    distiller = build('cls', detach=detach)
    losses(distiller, 'cls')['teacher_loss'].backward()
    assert size(distiller.teacher.parameters()) > 0
    assert (size(distiller.student.backbone.parameters()) == 0) is detach


def test_supervision_weight():
    torch.manual_seed(0)
    one = losses(build('cls'), 'cls')
    torch.manual_seed(0)
    half = losses(build('cls', supervision=0.5), 'cls')
    assert torch.allclose(half['teacher_loss'], one['teacher_loss'] / 2)
    assert 'teacher_loss' not in losses(build('cls', supervision=0), 'cls')


def test_it_is_saved_but_not_exported(tmp_path: Path):
    distiller = build('cls')
    assert any(key.startswith('teacher.') for key in distiller.state_dict())
    from mmkd.hooks import student_checkpoint

    plain = student_checkpoint(dict(state_dict=distiller.state_dict()), 'x')
    zoo.plain('cls').load_state_dict(plain['state_dict'], strict=True)


def test_resume(tmp_path: Path):
    def model() -> dict[str, Any]:
        return dict(
            type='mmkd.SelfDistiller',
            student=zoo.student('cls'),
            teacher=dict(type='mmkd.ToyTeacher', out=zoo.CLASSES),
            teacher_reads='backbone[-1]',
            terms=dict(
                loss_feature=dict(
                    student='backbone[-1]',
                    teacher='refine.0',
                    loss=dict(type='mmkd.MSE'),
                )
            ),
        )

    whole = runs.runner('cls', tmp_path / 'a', model=model(), epochs=2)
    whole.train()
    runs.runner('cls', tmp_path / 'b', model=model(), epochs=1).train()
    again = runs.runner('cls', tmp_path / 'b', model=model(), epochs=2, resume=True)
    again.train()
    one, two = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert runs.logged(tmp_path / 'a') == runs.logged(tmp_path / 'b')
