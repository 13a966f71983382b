"""Four methods on four kinds of models, as their fragments have them: sixteen cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import zoo
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from torch import Tensor, nn

import mmkd
from mmkd.build import build_model
from mmkd.hooks import student_checkpoint
from mmkd.registry import MODELS

METHODS = ('sakd', 'cwt', 'frskd', 'letkd')
MODELS_OF = ('cls', 'faster_rcnn', 'mask_rcnn', 'pspnet')
# Terms that reach the student's classifier, because they compare what it says.
ON_LOGITS = {'loss_kd'}

each_cell = pytest.mark.parametrize(
    ('method', 'kind'),
    [(method, kind) for method in METHODS for kind in MODELS_OF],
    ids=lambda name: name,
)


def cell(method: str, kind: str) -> ConfigDict:
    """The distiller's config: the fragment around a small model, ready to learn."""
    config = Config(dict(model=zoo.student(kind)))
    given = () if method == 'frskd' else (zoo.student(kind, width=8), 'random')
    model = mmkd.distill(config, method, *given).model
    for term in model.terms.values():
        if 'codebook' in term.loss:
            term.loss.codebook = 'random'
        if 'recipe' in term.loss:
            term.loss.recipe = 'random'
    if method == 'letkd':
        model.student.layers.intermediate.templates = 8 * zoo.CLASSES
        model.student.layers.penultimate.templates = 16
    return model


@pytest.fixture
def distiller(method: str, kind: str) -> Iterator[Any]:
    """In training, at the end of a run, where every ramp is up."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 100)
    hub.update_info('iter', 99)
    return MODELS.build(cell(method, kind)).train()


def losses(distiller: Any, kind: str) -> dict[str, Any]:
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    return distiller(**data, mode='loss')


def whole(value: Any) -> Tensor:
    """A loss, of which mmdet's heads return a list."""
    return sum(value) if isinstance(value, (list, tuple)) else value


def moved(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.any() for p in module.parameters())


def untouched(module: nn.Module) -> bool:
    return all(p.grad is None for p in module.parameters())


def classifiers(student: nn.Module) -> list[nn.Module]:
    names = ('head', 'decode_head', 'rpn_head', 'roi_head')
    return [getattr(student, name) for name in names if hasattr(student, name)]


def form(value: Any, name: str = '') -> Any:
    """Types, fields and shapes of predictions, less how many objects were found."""
    if isinstance(value, Tensor):
        found = name in ('bboxes', 'scores', 'labels', 'masks')
        return value.dtype, tuple(value.shape[1 if found else 0 :])
    if isinstance(value, (list, tuple)):
        return [form(item) for item in value]
    fields = getattr(value, 'items', None)
    if fields is None:
        return type(value)
    return type(value), {key: form(item, key) for key, item in fields()}


def text(predictions: list[Any]) -> list[str]:
    return [re.sub('0x[0-9a-f]+', '', str(sample)) for sample in predictions]


@each_cell
def test_training(distiller: Any, method: str, kind: str) -> None:
    """A step in which every term that is on counts, then gradients term by term."""
    log = distiller.train_step(zoo.batch(kind), zoo.optimizer(distiller))
    on = {name: term for name, term in distiller.terms.items() if term.weight}
    assert all(log[term.raw_name] > 0 for term in on.values())
    assert all(value.isfinite() for value in log.values())

    values, student = losses(distiller, kind), distiller.student
    for name, term in on.items():
        distiller.zero_grad()
        values[name].backward(retain_graph=True)
        assert moved(student.backbone)
        assert untouched(distiller.teacher)
        assert all(map(moved, term.connectors))
        assert any(map(moved, classifiers(student))) == (name in ON_LOGITS)
        if method == 'letkd':
            own = name.replace('loss_', '')
            for other, layer in student.backbone.kd_layers.items():
                assert moved(layer.match) or other != own
                assert untouched(layer.value) or other != own
    distiller.zero_grad()
    distiller.parse_losses(values)[0].backward(retain_graph=True)
    assert all(map(moved, classifiers(student)))
    assert all(p.grad is not None for p in distiller.terms.parameters())
    if method == 'letkd':
        assert all(p.grad.any() for p in student.backbone.kd_layers.parameters())
    if method == 'frskd':
        supervision_reaches_student_and_teacher(distiller, values, kind)
    else:
        assert untouched(distiller.teacher) and not distiller.teacher.training


def supervision_reaches_student_and_teacher(
    distiller: Any, values: dict[str, Any], kind: str
) -> None:
    """FRSKD: of detectors, whose heads judge for both, the heads learn from it too."""
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    distiller.zero_grad()
    own = [v for k, v in values.items() if k.startswith('teacher_') and 'loss' in k]
    sum(map(whole, own)).backward()
    assert moved(distiller.student.backbone)
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    shared = kind not in ('cls', 'pspnet')
    assert any(map(moved, classifiers(distiller.student))) == shared


@each_cell
def test_prediction_and_export(distiller: Any, method: str, kind: str) -> None:
    """What comes out has the form of the plain student's, and is the exported one's."""
    distiller.train_step(zoo.batch(kind), zoo.optimizer(distiller))
    distiller.eval()
    file = student_checkpoint(dict(state_dict=distiller.state_dict()), 'here')
    alone = build_model(cell(method, kind).student, 'student').eval()
    alone.load_state_dict(file['state_dict'], strict=True)
    plain = zoo.plain(kind).eval()
    assert (method == 'letkd') == (
        alone.state_dict().keys() != plain.state_dict().keys()
    )
    with torch.no_grad():
        ours, exported, usual = (
            model.test_step(zoo.batch(kind)) for model in (distiller, alone, plain)
        )
    assert text(ours) == text(exported)
    assert form(ours) == form(usual)
