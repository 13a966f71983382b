"""Distiller: learn from one or several frozen teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.arguments import Share, naming
from mmkd.build import (
    ModelConfig,
    build_model,
    find_task,
    model_config,
)
from mmkd.checkpoints.load import load_weights
from mmkd.distillers.base import BaseDistiller, Records
from mmkd.distillers.step import Losses, Student, watch
from mmkd.paths import parse
from mmkd.randomness import own_randomness
from mmkd.recorder import Enough, Recorder
from mmkd.recording.origin import of_teacher
from mmkd.recording.reader import Recording
from mmkd.registry import MODELS
from mmkd.side import STUDENT
from mmkd.teacher.frozen import Frozen
from mmkd.teacher.given import options_of, share_of, teachers_of
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
        teacher: The teacher's config, likewise. None: there is no teacher, and every
            term says which network it reads ('student/backbone').
        teacher_ckpt: The teacher's weights: a file or an address. 'random' says that an
            untrained teacher is meant (in tests).
        terms: Name -> config of a :class:`mmkd.term.Term`.
        teachers: Instead of ``teacher``, several: name -> dict(model=…, ckpt=…,
            weight=1.0, min_match=1.0, options=dict(…)). Every term is applied to each
            and counts times the teacher's weight, unless it has a ``source`` or its
            paths name their networks ('name/head.fc').
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
        one = teachers is None
        given = teachers_of(
            teachers, teacher, teacher_ckpt, teacher_min_match, teacher_options
        )
        options = {name: options_of(name, config) for name, config in given.items()}
        sources = {name: share_of(c, options[name]) for name, c in given.items()}
        super().__init__(student, terms, sources, **settings)
        self.inherit = [inherit] if isinstance(inherit, str) else list(inherit)
        self.renormalize = nn.ModuleDict()
        self.adapters: dict[str, Any] = {}
        self.options = options
        self.recordings: dict[str, Recording] = {}
        self.once: dict[str, set[str]] = {}  # modules that run once in a step
        for name, config in given.items():
            with naming(name if one else f'teachers.{name}'):
                self._add_teacher(
                    name,
                    config['model'],
                    config.get('ckpt'),
                    config.get('min_match', 1.0),
                )
        self.connect()
        if self.inherit and not self.options:
            raise ValueError('inherit: there is no teacher to inherit from.')
        if self.inherit:
            _check_inherit(self.student, self.teacher, self.inherit)
        for name in self.options:
            self._cheapen(name)

    def _add_teacher(
        self,
        name: str,
        model: str | ModelConfig | nn.Module,
        ckpt: str | None,
        min_match: Share,
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
        self.frozen[name] = Frozen(built)
        self.adapters[name] = find_task(built, self.task_config)
        own = built.data_preprocessor if _says_how_it_normalises(model) else None
        self.renormalize[name] = step = Renormalize(self.student.data_preprocessor, own)
        if not step.idle:
            print_log(f'The {name} gets its own normalisation: {step}', 'current')

    def _cheapen(self, name: str) -> None:
        """Do what the options say, to a teacher that is known to fit."""
        options, model = self.options[name], self.frozen[name].model
        paths = [path for term in self.terms.values() for path in term.reads(name)]
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
        name = next(iter(self.options), None)
        if name is None:
            raise RuntimeError('This distiller has no teacher.')
        if name in self.recordings:
            raise RuntimeError(f'The {name} is a recording, and no model.')
        return self.frozen[name].model

    def networks(self) -> dict[str, nn.Module]:
        """The student and the teachers."""
        there = [name for name in self.options if name in self.frozen]
        teachers = {name: self.frozen[name].model for name in there}
        return {STUDENT: self.student, **teachers}

    def adapter(self, network: str) -> Any:
        """The task adapter of the student or of a teacher."""
        return self.adapters.get(network, self.task)

    def rehearse(self, terms: list[Term]) -> Records:
        """One small step, in which the teachers run to the end."""
        self.once = {}
        records = super().rehearse(terms)
        self.once = {name: records[name].once() for name in records if name != STUDENT}
        return records

    def reads(self, terms: list[Term]) -> list[str]:
        """What the task wants of the student to run the teachers' heads."""
        paths = [path for name in self.options for t in terms for path in t.reads(name)]
        needed: list[str] = self.task.needs(self.student, paths)
        return needed

    def teach(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None,
        terms: list[Term],
        student: Student | None = None,
    ) -> tuple[Records, Losses]:
        """Run the teachers that a term listens to."""
        # Before the student, where that is possible: its activations are not there yet.
        needed = self.reads(terms)
        if needed and student is None:
            raise ValueError(
                "The teacher's RoI heads are run on the regions of the student, which "
                'does not run here: only the backbone, the neck and dense heads of a '
                'teacher can be asked alone.'
            )
        own = student.record if needed and student is not None else None
        done: Records = {}
        for name in self.options:
            paths = [path for term in terms for path in term.reads(name)]
            if not paths:
                continue
            if name in self.recordings:
                recording = self.recordings[name]
                done[name] = recording.read(paths, data_samples, inputs.device)
            else:
                done[name] = self._ask(name, inputs, data_samples, terms, own)
        return done, {}

    def _ask(
        self,
        name: str,
        inputs: Tensor,
        data_samples: list[Any] | None,
        terms: list[Term],
        student: Recorder | None,
    ) -> Recorder:
        """What a teacher does with the batch."""
        model, options = self.frozen[name].model, self.options[name]
        recorder = watch(model, name, terms)
        places = {parse(path).place for path in recorder.paths}
        recorder.enough = places <= self.once.get(name, set())
        with torch.no_grad(), recorder:
            seen = options.order(self.renormalize[name](inputs, data_samples))
            with options.precision(inputs.device), suppress(Enough):
                self.adapters[name].run(
                    model, seen, data_samples, recorder.paths, student
                )
        if options.dtype is not None:
            recorder.to_float()
        return recorder

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
