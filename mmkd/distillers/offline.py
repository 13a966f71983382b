"""Distiller: learn from one or several frozen teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.build import (
    Frozen,
    ModelConfig,
    build_model,
    find_task,
    model_config,
    own_randomness,
)
from mmkd.checkpoint import load_weights
from mmkd.distillers.base import BaseDistiller, Losses, Recorders, StudentStep
from mmkd.recorder import Recorder
from mmkd.registry import MODELS
from mmkd.renormalize import Renormalize
from mmkd.term import Term

RANDOM = 'random'


@MODELS.register_module()
class Distiller(BaseDistiller):
    """A student that learns from frozen teachers.

    A teacher stays in eval mode, gets no gradients, is in no optimizer, checkpoint or
    EMA copy, and runs only while a term with a weight needs it, only as deep as is
    tapped.

    Args:
        student: The student's config: a dict, a config file, or 'mmdet::…'.
        teacher: The teacher's config, likewise.
        teacher_ckpt: The teacher's weights: a file or an address. 'random' says that an
            untrained teacher is meant (in tests).
        terms: Name -> config of a :class:`mmkd.term.Term`.
        teachers: Instead of ``teacher``, several: name -> dict(model=…, ckpt=…,
            weight=1.0, min_match=1.0). Every term without a ``source`` is applied to
            each, times the teacher's weight.
        teacher_min_match: The least share of the teacher's tensors that its checkpoint
            must hold.
        inherit: Parts of the (first) teacher whose weights the student starts from:
            ['neck', 'bbox_head'].
        **settings: See :class:`mmkd.distillers.base.BaseDistiller`.
    """

    def __init__(
        self,
        student: str | ModelConfig | nn.Module,
        terms: Mapping[str, Any],
        teacher: str | ModelConfig | nn.Module | None = None,
        teacher_ckpt: str | None = None,
        teachers: Mapping[str, Any] | None = None,
        teacher_min_match: float = 1.0,
        inherit: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        if (teacher is None) == (teachers is None):
            raise ValueError("Give either 'teacher' or 'teachers'.")
        if teachers is not None and teacher_ckpt is not None:
            raise ValueError("Several teachers have a 'ckpt' each, no 'teacher_ckpt'.")
        if teachers is None:
            teachers = {
                'teacher': dict(
                    model=teacher, ckpt=teacher_ckpt, min_match=teacher_min_match
                )
            }
        super().__init__(student, terms, list(teachers), **settings)
        self.inherit = [inherit] if isinstance(inherit, str) else list(inherit)
        self.renormalize = nn.ModuleDict()
        self.adapters: dict[str, Any] = {}
        for name, config in teachers.items():
            if not isinstance(config, Mapping) or 'model' not in config:
                raise ValueError(f'teachers.{name}: give dict(model=…, ckpt=…)')
            self._add_teacher(name, **config)
        self.connect()
        for term in self.terms.values():
            if hasattr(term.loss, 'check_teacher'):  # it belongs to one teacher
                model = self.frozen[str(term.source)].model
                term.loss.check_teacher(model, term.teacher_paths)
        _check_inherit(self.student, self.teacher, self.inherit)

    def _add_teacher(
        self,
        name: str,
        model: str | ModelConfig | nn.Module,
        ckpt: str | None = None,
        weight: float = 1.0,
        min_match: float = 1.0,
    ) -> None:
        if ckpt is None and not isinstance(model, nn.Module):
            raise ValueError(
                f'The {name} has no checkpoint, and an untrained one teaches noise. '
                'Set teacher_ckpt to a file or an address '
                "(or to 'random', if that is meant)."
            )
        if not isinstance(model, nn.Module):
            model = model_config(model)
        with own_randomness():
            built = build_model(model, name)
        if ckpt is not None and ckpt != RANDOM:
            load_weights(built, ckpt, name, min_match, self.trust_checkpoints)
        for term in self.terms.values():
            if term.source == name:
                term.weight = term.base_weight = term.base_weight * weight
        self.frozen[name] = Frozen(built)
        self.adapters[name] = find_task(built, self.task_config)
        own = built.data_preprocessor if _says_how_it_normalises(model) else None
        self.renormalize[name] = step = Renormalize(self.student.data_preprocessor, own)
        if not step.idle:
            print_log(f'The {name} gets its own normalisation: {step}', 'current')

    @property
    def teacher(self) -> nn.Module:
        """The (first) teacher."""
        return next(iter(self.frozen.values())).model

    def reads(self, terms: list[Term]) -> list[str]:
        """What the task wants of the student to run the teachers' heads."""
        paths = [path for term in terms for path in term.teacher_paths]
        needed: list[str] = self.task.needs(self.student, paths)
        return needed

    def teach(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None,
        terms: list[Term],
        student_step: StudentStep,
    ) -> tuple[Recorders, Losses]:
        """Run the teachers that a term listens to."""
        # Before the student, where that is possible: its activations are not there yet.
        student = student_step()[1] if self.reads(terms) else None
        done: Recorders = {}
        for name, frozen in self.frozen.items():
            own = [term for term in terms if term.source == name]
            if not own:
                continue
            paths = [path for term in own for path in term.teacher_paths]
            cloned = [path for term in own if term.clone for path in term.teacher_paths]
            with torch.no_grad(), Recorder(frozen.model, paths, cloned) as recorder:
                seen = self.renormalize[name](inputs, data_samples)
                adapter = self.adapters[name]
                adapter.run(frozen.model, seen, data_samples, paths, student)
            done[name] = recorder
        return done, {}

    def init_weights(self) -> None:
        """Initialise the student; then give it the parts it inherits."""
        super().init_weights()
        for part in self.inherit:
            weights = self.teacher.get_submodule(part).state_dict()
            self.student.get_submodule(part).load_state_dict(weights)
            print_log(f"The student inherits the teacher's {part}.", 'current')


def _says_how_it_normalises(model: ModelConfig | nn.Module) -> bool:
    """A config without a preprocessor means the student's, not an idle one."""
    if isinstance(model, nn.Module):
        return hasattr(model.data_preprocessor, 'mean')
    return model.get('data_preprocessor') is not None


def _check_inherit(student: nn.Module, teacher: nn.Module, parts: list[str]) -> None:
    """Raise if a part to inherit is absent or of another shape."""
    for part in parts:
        sides = {}
        for name, model in (('student', student), ('teacher', teacher)):
            try:
                state = model.get_submodule(part).state_dict()
            except AttributeError:
                raise ValueError(f"inherit: the {name} has no '{part}'.") from None
            sides[name] = {key: tuple(value.shape) for key, value in state.items()}
        if sides['student'] != sides['teacher']:
            odd = sorted(set(sides['student'].items()) ^ set(sides['teacher'].items()))
            raise ValueError(
                f"inherit: '{part}' differs between student and teacher: {odd[:4]}"
            )
