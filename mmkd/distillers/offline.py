"""Distiller: learn from one or several frozen teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.arguments import Share, Weight, check_arguments, naming
from mmkd.build import (
    ModelConfig,
    build_model,
    find_task,
    model_config,
)
from mmkd.checkpoints.load import load_weights
from mmkd.distillers.base import BaseDistiller, Losses, Recorders, StudentStep
from mmkd.randomness import own_randomness
from mmkd.recorder import Enough, Recorder, parse
from mmkd.recording.origin import of_teacher
from mmkd.recording.reader import Recording
from mmkd.registry import MODELS
from mmkd.schedule import make_piece
from mmkd.teacher.cheap import TeacherOptions
from mmkd.teacher.frozen import Frozen
from mmkd.teacher.renormalize import Renormalize
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
            weight=1.0, min_match=1.0, options=dict(…)). Every term without a ``source``
            is applied to each, times the teacher's weight.
        teacher_min_match: The least share of the teacher's tensors that its checkpoint
            must hold.
        teacher_options: What makes the teacher cheap; see :mod:`mmkd.teacher.cheap`.
        inherit: Parts of the (first) teacher whose weights the student starts from:
            ['neck', 'bbox_head'].
        **settings: See :class:`mmkd.distillers.base.BaseDistiller`.
    """

    def __init__(  # noqa: PLR0913
        self,
        student: str | ModelConfig | nn.Module,
        terms: Mapping[str, Any],
        teacher: str | ModelConfig | nn.Module | None = None,
        teacher_ckpt: str | None = None,
        teachers: Mapping[str, Any] | None = None,
        teacher_min_match: Share = 1.0,
        teacher_options: Mapping[str, Any] | None = None,
        inherit: str | Sequence[str] = (),
        **settings: Any,
    ) -> None:
        if (teacher is None) == (teachers is None):
            raise ValueError("Give either 'teacher' or 'teachers'.")
        if teachers is not None and teacher_ckpt is not None:
            raise ValueError("Several teachers have a 'ckpt' each, no 'teacher_ckpt'.")
        if teachers is not None and teacher_options is not None:
            raise ValueError("Several teachers have 'options' each.")
        if teachers is None:
            teachers = {
                'teacher': dict(
                    model=teacher,
                    ckpt=teacher_ckpt,
                    min_match=teacher_min_match,
                    options=teacher_options,
                )
            }
        super().__init__(student, terms, list(teachers), **settings)
        self.inherit = [inherit] if isinstance(inherit, str) else list(inherit)
        self.renormalize = nn.ModuleDict()
        self.adapters: dict[str, Any] = {}
        self.options: dict[str, TeacherOptions] = {}
        self.recordings: dict[str, Recording] = {}
        self.once: dict[str, set[str]] = {}  # modules that run once in a step
        for name, config in teachers.items():
            if not isinstance(config, Mapping) or 'model' not in config:
                raise ValueError(f'teachers.{name}: give dict(model=…, ckpt=…)')
            check_arguments(f'teachers.{name}', config, self._add_teacher, ('name',))
            with naming(name if teacher is not None else f'teachers.{name}'):
                self._add_teacher(name, **config)
        self.connect()
        for term in self.terms.values():
            if hasattr(term.loss, 'check_teacher'):  # it belongs to one teacher
                model = self.frozen[str(term.source)].model
                term.loss.check_teacher(model, term.teacher_paths)
        _check_inherit(self.student, self.teacher, self.inherit)
        for name in list(self.frozen):
            self._cheapen(name)

    def _add_teacher(  # noqa: PLR0913
        self,
        name: str,
        model: str | ModelConfig | nn.Module,
        ckpt: str | None = None,
        weight: Weight = 1.0,
        min_match: Share = 1.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        check_arguments('teacher_options', options or {}, TeacherOptions)
        self.options[name] = cheap = TeacherOptions(**(options or {}))
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
                if cheap.every > 1:
                    piece = dict(kind='every', steps=cheap.every, factor=cheap.every)
                    term.schedule += (make_piece(piece),)
        self.frozen[name] = Frozen(built)
        self.adapters[name] = find_task(built, self.task_config)
        own = built.data_preprocessor if _says_how_it_normalises(model) else None
        self.renormalize[name] = step = Renormalize(self.student.data_preprocessor, own)
        if not step.idle:
            print_log(f'The {name} gets its own normalisation: {step}', 'current')

    def _cheapen(self, name: str) -> None:
        """Do what the options say, to a teacher that is known to fit."""
        options, model = self.options[name], self.frozen[name].model
        terms = [term for term in self.terms.values() if term.source == name]
        paths = [path for term in terms for path in term.teacher_paths]
        inherited = self.inherit and name == next(iter(self.options))
        if inherited and (options.fold_bn or options.recording):
            raise ValueError(
                "inherit takes the teacher's weights as they are: not with fold_bn or "
                'a recording. Or start from a file that has them: student_ckpt.'
            )
        if options.recording is not None:
            recording = Recording(options.recording)
            step = self.renormalize[name]
            recording.check(of_teacher(model, step, self.student))
            recording.check_paths(paths)
            self.recordings[name] = recording
            del self.frozen[name]  # it has said what it has to say
            return
        images, samples = self.task.example(self._size(), self._device())
        with own_randomness():
            images.normal_()

        def run(images: Tensor) -> list[Tensor]:
            with torch.no_grad(), Recorder(model, paths, paths) as recorder:
                self.adapters[name].run(model, images, samples, paths)
            return [level for path in recorder.paths for level in recorder[path]]

        options.apply(model, run, images, {parse(path).module for path in paths})

    @property
    def teacher(self) -> nn.Module:
        """The (first) teacher."""
        name = next(iter(self.options))
        if name in self.recordings:
            raise RuntimeError(f'The {name} is a recording, and no model.')
        return self.source(name)

    def source(self, name: str) -> nn.Module:
        """One of the teachers."""
        return self.frozen[name].model

    def rehearse(self, terms: list[Term]) -> tuple[Recorder, Recorders]:
        """One small step, in which the teachers run to the end."""
        self.once = {}
        student, sources = super().rehearse(terms)
        self.once = {name: source.once() for name, source in sources.items()}
        return student, sources

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
        for name, options in self.options.items():
            own = [term for term in terms if term.source == name]
            if not own:
                continue
            paths = [path for term in own for path in term.teacher_paths]
            if name in self.recordings:
                recording = self.recordings[name]
                done[name] = recording.read(paths, data_samples, inputs.device)
                continue
            cloned = [path for term in own if term.clone for path in term.teacher_paths]
            model, adapter = self.frozen[name].model, self.adapters[name]
            once = self.once.get(name, set())
            enough = {parse(path).module for path in paths} <= once
            recorder = Recorder(model, paths, cloned, enough)
            with torch.no_grad(), recorder:
                seen = options.order(self.renormalize[name](inputs, data_samples))
                with options.precision(inputs.device), suppress(Enough):
                    adapter.run(model, seen, data_samples, paths, student)
            if options.dtype is not None:
                recorder.to_float()
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
