"""BaseDistiller: a student, a dict of terms, and the recording that joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmkd.arguments import Count, Share, check_arguments, naming
from mmkd.build import (
    ModelConfig,
    build_model,
    find_task,
    model_config,
)
from mmkd.checkpoints.load import check_share, load_weights
from mmkd.distillers.step import (
    Losses,
    Own,
    Student,
    mark_overwritten,
    merge,
    parts,
    tapped,
    uncompiled,
)
from mmkd.finite import Guard, Seen
from mmkd.loss import Site
from mmkd.paths import Player
from mmkd.randomness import own_randomness
from mmkd.recorder import Recorder
from mmkd.rehearsal import image_size, rehearsing
from mmkd.side import STUDENT
from mmkd.teacher.frozen import Frozen
from mmkd.term import Term
from mmkd.terms import build_terms

Records = dict[str, Recorder]
Watch = Callable[['BaseDistiller', Mapping[str, Losses]], None]
NOTHING: Mapping[str, Any] = MappingProxyType({})
# What hooks and optimizer constructors of mmdet, mmseg and mmpretrain ask of the model
# that a runner trains, beside its heads.
OF_STUDENT = ('backbone', 'neck', 'head', 'detector', 'set_epoch')


class BaseDistiller(BaseModel):  # type: ignore[misc]
    """What both distillers share; a subclass writes :meth:`teach`.

    Training gives the student's own losses and, for every term, its weighted value
    under the term's name and its unweighted value under ``raw_…``. ``predict`` and
    ``tensor`` are the student's, untouched.

    Args:
        student: Its config: a dict, a config file, or 'mmdet::…'.
        terms: Name -> config of a :class:`mmkd.term.Term`.
        sources: Name of a teacher -> ``scale`` and ``schedule`` of its terms.
        own: What the student's own losses count: dict(weight=0.1, schedule=[…]).
        student_ckpt: Weights that the student starts from; a file or an address. They
            may lack some of its tensors, see ``student_min_match``.
        student_min_match: The least share of the tensors *in such a file* (or in
            ``load_from``) that must fit the student.
        trust_checkpoints: Unpickle whole files, code included. None asks the
            environment variable MMKD_TRUST_CHECKPOINTS.
        data_preprocessor: What the Runner hands over; the student's, if it has none.
        task: Config of the task adapter; None finds it by the student's package.
        input_size: Height and width of the images with which shapes are looked up at
            build time. None: the backbone's ``img_size``, or 128.
        nonfinite: What to do in training when a loss is NaN or infinite. 'stop' raises
            a FloatingPointError that names the loss, the layers it compares, and on
            which side they are not finite. 'skip' leaves the step out and warns; see
            :class:`mmkd.finite.Guard`. 'ignore' does not look.
    """

    # Is shown the parts of a step's loss: the task's, the self-teacher's, each term's.
    watch: Watch | None = None

    def __new__(cls, *args: Any, **config: Any) -> BaseDistiller:
        """Check what a config gives, before anything is built."""
        if config and not args:
            check_arguments(cls.__name__, config, cls, given=('sources',))
        made: BaseDistiller = super().__new__(cls)
        return made

    def __init__(  # noqa: PLR0913
        self,
        student: str | ModelConfig | nn.Module,
        terms: Mapping[str, Any],
        sources: Mapping[str, Any] = NOTHING,
        own: Mapping[str, Any] = NOTHING,
        student_ckpt: str | None = None,
        student_min_match: Share = 0.5,
        trust_checkpoints: bool | None = None,
        data_preprocessor: ModelConfig | nn.Module | None = None,
        task: dict[str, Any] | None = None,
        input_size: Count | tuple[Count, Count] | None = None,
        nonfinite: Literal['stop', 'skip', 'ignore'] = 'stop',
    ) -> None:
        if not isinstance(student, nn.Module):
            with naming('student'):
                student = model_config(student)
            if data_preprocessor is not None:
                student.setdefault('data_preprocessor', data_preprocessor)
        student = build_model(student, 'student')
        super().__init__(data_preprocessor=student.data_preprocessor)
        self.student = student
        self.student_ckpt = student_ckpt
        self.student_min_match = student_min_match
        self.trust_checkpoints = trust_checkpoints
        self.input_size = input_size
        self.guard = Guard(nonfinite)
        self.frozen: dict[str, Frozen] = {}
        self.task_config = task
        self.task = find_task(student, task)
        check_arguments('own', own, Own, given=('where',))
        self.own = Own(**own, where='own.schedule')
        with own_randomness():
            self.terms = build_terms(terms, sources)

    # -- what a subclass writes -------------------------------------------------------

    def teach(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None,
        terms: list[Term],
        student: Student | None = None,
    ) -> tuple[Records, Losses]:
        """Make the knowledge of this step.

        Args:
            inputs: Images as the student sees them.
            data_samples: The batch's samples.
            terms: The terms that count in this step.
            student: The student's part; None where only the teachers are asked.

        Returns:
            What each network but the student did, and losses of their own.
        """
        raise NotImplementedError

    def networks(self) -> dict[str, nn.Module]:
        """Every network that a path may name, the student among them."""
        raise NotImplementedError

    def adapter(self, network: str) -> Any:
        """The task adapter of a network, which knows what plays a role in it."""
        return self.task

    def reads(self, terms: list[Term]) -> list[str]:
        """Paths in the student that :meth:`teach` wants recorded, beside the terms'."""
        return []

    # -- training ---------------------------------------------------------------------

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """Distil in mode 'loss'; 'tensor' and 'predict' are the student's own."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    @uncompiled
    def loss(self, inputs: Tensor, data_samples: list[Any] | None = None) -> Losses:
        """The student's losses and every term, raw and weighted."""
        terms = [term for term in self.terms.values() if term.update_weight() != 0]
        if self.training:
            self.guard.begin(self)

        def run() -> Losses:
            losses: Losses = self.student(inputs, data_samples, mode='loss')
            return losses

        student = Student(self.student, terms, self.reads(terms), run)
        records, extra = self.teach(inputs, data_samples, terms, student)
        own = self.own(student.losses)
        records[STUDENT] = student.record
        targets = self.task.targets(self.student, data_samples)
        values: Losses = {}
        for name, term in self.terms.items():
            if term in terms:
                raw = term(records, targets)
                values[name], values[term.raw_name] = raw * term.weight, raw.detach()
            else:
                values[name] = inputs.new_zeros(()) + term.idle()
                values[term.raw_name] = inputs.new_zeros(())
        losses = merge(own, extra, values)
        if self.training and self.guard.finds(losses):
            taps = {term.name: tapped(term, records) for term in terms}
            seen = Seen(losses, taps, inputs, data_samples)
            without: Losses = self.guard.act(self, seen)
            return without
        if self.watch is not None:
            self.watch(self, parts(own, extra, values, self.terms.values()))
        return losses

    # -- building ---------------------------------------------------------------------

    def connect(self) -> None:
        """Look shapes up with one small step, build the connectors, check all terms.

        The step runs in eval mode, without gradients or labels, on two black images.
        """
        terms = list(self.terms.values())
        networks = self.networks()

        @cache  # it may cost a run of the backbone
        def roles(network: str, role: str) -> Player:
            find, size = self.adapter(network).roles, self._size()
            played: Player = find(networks[network], role, size=size)
            return played

        with own_randomness():
            for side in (side for term in terms for side in term.sides):
                for line in side.resolve(networks, roles):
                    print_log(line, 'current')
        records = self.rehearse(terms)
        if mark_overwritten(terms, records):
            records = self.rehearse(terms)
        classes = self.task.classes(self.student)
        site = Site([], [], self.student, classes=classes, frozen=self.frozen)
        with own_randomness():
            for term in terms:
                paths = (term.student_paths, term.teacher_paths)
                other = networks[term.teacher.places[0].network]
                term.build(records, replace(site, teacher=other, paths=paths))

    def rehearse(self, terms: list[Term]) -> Records:
        """One small step, without labels; returns what all networks did."""
        more = self.reads(terms)
        sides = [side for t in terms for side in (t.student, t.teacher)]
        paths = [path for side in sides for path in side.reads(STUDENT)] + more
        try:
            inputs, data_samples = self.task.example(self._size(), self._device())

            def run() -> Losses:
                self.task.run(self.student, inputs, data_samples, paths)
                return {}

            student = Student(self.student, terms, more, run)
            with rehearsing(self):
                records, _ = self.teach(inputs, data_samples, terms, student)
                return {**records, STUDENT: student.record}
        except RuntimeError as error:
            raise RuntimeError(
                f'Looking up feature shapes with an image of {self._size()} failed: '
                f'{error}\nIf a model needs another size, set input_size.'
            ) from error

    def _size(self) -> tuple[int, int]:
        return image_size(self.student, self.input_size)

    def _device(self) -> torch.device:
        return next((p.device for p in self.student.parameters()), torch.device('cpu'))

    # -- weights ----------------------------------------------------------------------

    def init_weights(self) -> None:
        """Initialise the student as it would be alone, then what is given to it."""
        self.student.init_weights()
        if self.student_ckpt is not None:
            load_weights(
                self.student,
                self.student_ckpt,
                'student',
                self.student_min_match,
                self.trust_checkpoints,
                of_file=True,
            )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take a plain student's file (``load_from``) as well as a distiller's own."""
        own = prefix + 'student.'
        if not any(key.startswith(own) for key in state_dict):
            names = [key for key in state_dict if key.startswith(prefix)]
            weights = {key[len(prefix) :]: state_dict[key] for key in names}
            check_share(self.student, weights, self.student_min_match)
            for key in names:
                state_dict[own + key[len(prefix) :]] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    # -- a module among modules -------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """The student's recipe finds ``model.bbox_head`` and the like."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            student = self.__dict__.get('_modules', {}).get('student')
            wanted = name in OF_STUDENT or name.endswith('_head')
            if student is None or not wanted:
                raise
            return getattr(student, name)

    def get_layer_depth(self, name: str) -> tuple[int, int]:
        """The depth of a weight, of how many: mmpretrain's layer-wise learning rates.

        Weights that are not the student's learn like those of its head.
        """
        found: tuple[int, int]
        found = self.student.get_layer_depth(name.removeprefix('student.'))
        return found

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Any:
        for frozen in self.frozen.values():
            frozen.apply(fn)
        return super()._apply(fn, *args, **kwargs)
