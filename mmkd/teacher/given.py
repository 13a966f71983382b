"""What a config says of the teachers: one, or several by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from mmkd.arguments import Share, Weight, check_arguments
from mmkd.teacher.cheap import TeacherOptions

ONE = 'teacher'  # what a teacher is called that is the only one
STUDENT = 'student'


def teachers_of(
    teachers: Mapping[str, Any] | None,
    model: Any,
    ckpt: str | None,
    min_match: Share,
    options: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All teachers by name, whichever way the config gives them.

    Args:
        teachers: Several.
        model: Or one.
        ckpt: Its weights.
        min_match: Its ``teacher_min_match``.
        options: Its ``teacher_options``.
    """
    if model is not None and teachers is not None:
        raise ValueError("Give either 'teacher' or 'teachers'.")
    if teachers is not None and ckpt is not None:
        raise ValueError("Several teachers have a 'ckpt' each, no 'teacher_ckpt'.")
    if teachers is not None and options is not None:
        raise ValueError("Several teachers have 'options' each.")
    if model is not None:
        own = dict(model=model, ckpt=ckpt, min_match=min_match, options=options)
        return {ONE: own}
    for key, value in (('teacher_ckpt', ckpt), ('teacher_options', options)):
        if value is not None:
            raise ValueError(f"{key}: there is no 'teacher' that it is for.")
    for name in teachers or {}:
        if not re.fullmatch(r'[\w\-]+', str(name)) or name == STUDENT:
            raise ValueError(
                f"teachers.{name}: paths begin with this name ('name/head.fc'), so it "
                "has letters, digits, _ and - alone, and is not 'student'."
            )
    return dict(teachers or {})


def options_of(name: str, config: Any) -> TeacherOptions:
    """Check a teacher's config; return its options."""
    if not isinstance(config, Mapping) or 'model' not in config:
        raise ValueError(f'teachers.{name}: give dict(model=…, ckpt=…)')
    check_arguments(f'teachers.{name}', config, _teacher)
    options = config.get('options') or {}
    check_arguments('teacher_options', options, TeacherOptions)
    return TeacherOptions(**options)


def _teacher(
    model: str | Mapping[str, Any] | nn.Module,
    ckpt: str | None = None,
    weight: Weight = 1.0,
    min_match: Share = 1.0,
    options: Mapping[str, Any] | None = None,
) -> None:
    """What a teacher's config may have."""


def share_of(config: Mapping[str, Any], options: TeacherOptions) -> dict[str, Any]:
    """What a teacher does to the weights of the terms that read it alone."""
    every = options.every
    piece = dict(kind='every', steps=every, factor=every)
    return dict(scale=config.get('weight', 1.0), schedule=[piece] if every > 1 else [])
