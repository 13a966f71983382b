"""Cells: a method, as its fragment has it, around a small model of tests/zoo.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zoo
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from torch import Tensor, nn

import mmkd
from mmkd.mixin import describe, read_method
from mmkd.side import Side

# The models on which a form of a method is tried.
MODELS_OF = {
    'cls': ('cls',),
    'cifar': ('cifar',),
    'two_stage': ('faster_rcnn', 'mask_rcnn'),
    'one_stage': ('retinanet',),
    'seg': ('pspnet',),
}


def part(method: str, kind: str) -> dict[str, Any]:
    """What a method's fragment has for a model."""
    return read_method(method, [form_of(kind)])


def form_of(kind: str) -> str:
    """The form of a method that suits a model: 'two_stage' for 'faster_rcnn'."""
    return next(form for form, kinds in MODELS_OF.items() if kind in kinds)


def cell(method: str, kind: str) -> ConfigDict:
    """The distiller's config, ready to learn."""
    return whole(method, kind).model


def whole(method: str, kind: str) -> Config:
    """The same with the hooks of the method."""
    config = Config(dict(model=zoo.student(kind)))
    own = part(method, kind)
    wanted = 'teacher' not in own and asks_a_teacher(own['terms'])
    given = (zoo.student(kind, width=8), 'random') if wanted else ()
    config = mmkd.distill(config, method, *given, kind=form_of(kind))
    tried(config.model, describe(method).get('trial') or {})
    return config


def asks_a_teacher(terms: Mapping[str, Any]) -> bool:
    """Whether a term reads a network that is not named, which is the teacher."""
    paths = [term.get('teacher') or term['student'] for term in terms.values()]
    return any('' in Side('', own, '').networks() for own in paths)


def tried(model: ConfigDict, trial: Mapping[str, Any]) -> None:
    """Change a config as a fragment says for trials; see tests/harness.py."""
    for place, value in trial.items():
        *parents, last = place.split('.')
        inner: Any = model
        for name in parents:
            inner = inner.get(name) if isinstance(inner, Mapping) else None
        if inner is not None:
            inner[last] = value


def at(step: int) -> None:
    """Tell schedules that a run of 100 steps, and as many epochs, is here."""
    hub = MessageHub.get_current_instance()
    for unit in ('iter', 'epoch'):
        hub.update_info(f'max_{unit}s', 100)
        hub.update_info(unit, step)


# -- gradients in models ---------------------------------------------------------------

# Where a student decides.
HEADS = ('head', 'decode_head', 'rpn_head', 'roi_head', 'bbox_head')


def total(value: Any) -> Tensor:
    """A loss, of which mmdet's heads return a list."""
    return sum(value) if isinstance(value, (list, tuple)) else value


def moved(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.any() for p in module.parameters())


def classifiers(student: nn.Module) -> list[nn.Module]:
    return [getattr(student, name) for name in HEADS if hasattr(student, name)]
