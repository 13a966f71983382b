"""SelfDistiller: learn from a trainable teacher that reads the student's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.arguments import Weight, naming
from mmkd.build import ModelConfig
from mmkd.distillers.base import BaseDistiller
from mmkd.distillers.step import Losses, Student, scaled, watch
from mmkd.paths import is_role, resolve
from mmkd.randomness import own_randomness
from mmkd.recorder import Recorder
from mmkd.registry import MODELS, make
from mmkd.side import STUDENT, TEACHER, Records, as_list
from mmkd.term import Term


@MODELS.register_module()
class SelfDistiller(BaseDistiller):
    """A student and a self-teacher that is trained with it, on the student's features.

    The self-teacher is called with the recorded levels as one tuple. What it returns is
    trained with the task's own loss: logits for classification and segmentation,
    features in place of the neck's for detection. Gradients of that loss reach the
    student through its features; the terms' do not reach the teacher. It is saved with
    the distiller, and not exported. If it has a method ``extra_losses(images, student,
    teacher, read, targets)``, the losses that this returns are added: it is given both
    sides' logits, and ``read`` gives the student's features of other images.

    Args:
        student: The student's config: a dict, a config file, or 'mmdet::…'.
        teacher: The self-teacher's config. It is built with ``sources``, the shapes
            (C, H, W) of the features it will read, beside its own arguments.
        terms: Name -> config of a :class:`mmkd.term.Term`; teacher paths are those of
            modules in the self-teacher.
        teacher_reads: Path or paths in the student.
        teacher_target: Path of the student's logits, where the self-teacher makes such:
            it is built with ``target``, their shape, too.
        supervision: Weight of the self-teacher's task loss. At zero it is not computed.
        detach: Keep gradients of the self-teacher's task loss from the student.
        **settings: See :class:`mmkd.distillers.base.BaseDistiller`.
    """

    def __init__(  # noqa: PLR0913
        self,
        student: str | ModelConfig | nn.Module,
        teacher: ModelConfig,
        terms: Mapping[str, Any],
        teacher_reads: str | Sequence[str] = 'backbone',
        teacher_target: str | None = None,
        supervision: Weight = 1.0,
        detach: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(student, terms, {TEACHER: {}}, **settings)
        self.teacher_reads = self._find('teacher_reads', teacher_reads)
        self.teacher_target = self._find('teacher_target', teacher_target)
        self.supervision = supervision
        self.detach = detach
        seen = self.rehearse([])[STUDENT]
        shapes: dict[str, Any] = {'sources': _shapes(self._features(seen))}
        for path in self.teacher_target:
            shapes['target'] = _shapes(seen[path])[0]
        with own_randomness():
            self.teacher = make('teacher', teacher, **shapes)
        self.connect()

    def _find(self, key: str, paths: str | Sequence[str] | None) -> list[str]:
        """The paths in the student that a setting names."""
        found, student = [], self.student
        players = partial(self.task.roles, student, size=self._size())
        for path in as_list(paths):
            with naming(f"{key} '{path}'"), own_randomness():
                own = resolve(student, path, players)
            if is_role(path):
                print_log(f'{key}: {path} is {", ".join(own)}', 'current')
            found += own
        return found

    def networks(self) -> dict[str, nn.Module]:
        """The student and the self-teacher."""
        return {STUDENT: self.student, TEACHER: self.teacher}

    def reads(self, terms: list[Term]) -> list[str]:
        """What the self-teacher is fed with, and the logits it is to be like."""
        return self.teacher_reads + self.teacher_target

    def teach(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None,
        terms: list[Term],
        student: Student | None = None,
    ) -> tuple[Records, Losses]:
        """Run the self-teacher on what the student saw, and supervise it."""
        teacher = self._modules.get('teacher')
        if teacher is None or not (terms or self.supervision):
            return {}, {}
        if student is None:
            raise ValueError(
                'A self-teacher reads the student, which does not run here.'
            )
        features = self._features(student.record)
        with watch(teacher, TEACHER, terms) as recorder:
            output = teacher(tuple(f.detach() if self.detach else f for f in features))
        losses: Losses = {}
        if self.supervision and self.training:
            own = self.task.task_loss(self.student, output, data_samples)
            own = scaled(own, self.supervision)
            losses.update({f'teacher_{key}': value for key, value in own.items()})
        if self.training and hasattr(teacher, 'extra_losses'):
            logits = student.record[self.teacher_target[0]][0]
            targets = self.task.targets(self.student, data_samples)
            more = teacher.extra_losses(inputs, logits, output, self._read, targets)
            losses.update(more)
        return {TEACHER: recorder}, losses

    def _read(self, images: Tensor) -> list[Tensor]:
        """The student's features of other images than the batch's."""
        with Recorder(self.student, self.teacher_reads) as recorder:
            self.task.run(self.student, images, None, self.teacher_reads)
        return self._features(recorder)

    def _features(self, student: Recorder) -> list[Tensor]:
        return [level for path in self.teacher_reads for level in student[path]]


def _shapes(features: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(feature.shape[1:]) for feature in features]
