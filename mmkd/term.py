"""Term: where x connector x loss x weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.arguments import Weight, check_arguments, naming
from mmkd.recorder import Recorder, find_module, parse
from mmkd.registry import make
from mmkd.schedule import current_factor, make_piece
from mmkd.targets import Targets

Config = Mapping[str, Any]
Levels = list[Tensor]


class Term(nn.Module):
    """One distillation loss: ``weight * sum over levels of loss(student, teacher)``.

    Args:
        name: The key it is logged under.
        loss: Config of the loss: ``forward(student, teacher, targets) -> scalar``.
        student: Path or paths in the student (see :mod:`mmkd.recorder`).
        teacher: Path or paths in the teacher. None: the same as in the student.
        weight: Factor of the loss. At zero nothing of the term is computed.
        connector: Config of what the student's feature passes through, or a list that
            is a chain. One is built for every level.
        teacher_connector: The same for the teacher's feature.
        schedule: Pieces that change the weight over time (see :mod:`mmkd.schedule`).
        source: Name of the teacher it reads, where there are several. None: each.
        clone: Keep a copy of what is tapped, because the network overwrites it.
    """

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        loss: Config,
        student: str | Sequence[str],
        teacher: str | Sequence[str] | None = None,
        weight: Weight = 1.0,
        connector: Config | Sequence[Config] | None = None,
        teacher_connector: Config | Sequence[Config] | None = None,
        schedule: Config | Sequence[Config] = (),
        source: str | None = None,
        clone: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        where = f'terms.{name}'
        self.loss = make(f'{where}.loss', loss)
        self.student_paths = _as_list(student)
        self.teacher_paths = _as_list(student if teacher is None else teacher)
        self.base_weight = self.weight = float(weight)
        self.configs = (_as_list(connector), _as_list(teacher_connector))
        self.schedule = tuple(
            make_piece(piece, f'{where}.schedule') for piece in _as_list(schedule)
        )
        self.source = source
        self.clone = clone
        self.connectors = nn.ModuleList()
        self.teacher_connectors = nn.ModuleList()
        sides = {'student': self.student_paths, 'teacher': self.teacher_paths}
        for side, paths in sides.items():
            if not paths:
                raise ValueError(f'{where}.{side}: [] names no module.')
            with naming(f'{where}.{side}'):
                for path in paths:
                    parse(path)

    @property
    def raw_name(self) -> str:
        """The key of the unweighted value; without 'loss', so that it is not summed."""
        return 'raw_' + (self.name.replace('loss', '').strip('_.') or 'term')

    def update_weight(self) -> float:
        """Follow the schedule, if there is one, and return the present weight."""
        if self.schedule:
            self.weight = self.base_weight * current_factor(self.schedule)
        return self.weight

    def check_paths(self, student: nn.Module, teacher: nn.Module) -> None:
        """Raise if a path names no module on its side."""
        sides = (
            ('student', student, self.student_paths),
            ('teacher', teacher, self.teacher_paths),
        )
        for side, model, paths in sides:
            for path in paths:
                with naming(f"terms.{self.name}.{side} '{path}'"):
                    find_module(model, parse(path).module)

    def build_connectors(self, student: Recorder, teacher: Recorder) -> None:
        """Build one connector per level from example features, and check the shapes.

        A loss with parameters has ``build(student, teacher, classes)``. It is told the
        levels as it will see them and the number of classes, if the student says it.
        """
        where = f'terms.{self.name}'
        students, teachers = self.levels(student, teacher)
        for i, (s, t) in enumerate(zip(students, teachers)):
            if self.configs[1]:
                place = f'{where}.teacher_connector'
                chain, t = _build_chain(place, self.configs[1], source=t, target=s)
                self.teacher_connectors.append(chain)
            if self.configs[0]:
                place = f'{where}.connector'
                chain, s = _build_chain(place, self.configs[0], source=s, target=t)
                self.connectors.append(chain)
            self._check(s, t, i)
            students[i], teachers[i] = s, t
        if hasattr(self.loss, 'build'):
            with naming(f'{where}.loss'):
                self.loss.build(students, teachers, count_classes(student.model))

    def levels(self, student: Recorder, teacher: Recorder) -> tuple[Levels, Levels]:
        """The features on both sides; raises if the numbers of levels differ."""
        students = [level for path in self.student_paths for level in student[path]]
        teachers = self.teacher_levels(teacher)
        if len(students) != len(teachers):
            raise ValueError(
                f'terms.{self.name}: the student gives {len(students)} levels and the '
                f'teacher {len(teachers)}:'
                f'\n  student {self.student_paths}: {_shapes(students)}'
                f'\n  teacher {self.teacher_paths}: {_shapes(teachers)}\n'
                "Choose the ones that belong together, as in 'neck[:4]'."
            )
        return students, teachers

    def teacher_levels(self, teacher: Recorder) -> Levels:
        """The features of the teacher."""
        return [level for path in self.teacher_paths for level in teacher[path]]

    def forward(
        self, student: Recorder, teacher: Recorder, targets: Targets | None = None
    ) -> Tensor:
        """The unweighted loss: summed over levels, or of all together if it is joint.

        Args:
            student: What the student did in this step.
            teacher: What the teacher did.
            targets: The ground truth, for losses that want it.
        """
        pairs = self._connected(student, teacher)
        if getattr(self.loss, 'joint', False):
            together: Tensor = self.loss(*zip(*pairs), targets)
            return together
        total: Tensor | None = None
        for s, t in pairs:
            value = self.loss(s, t, targets)
            total = value if total is None else total + value
        assert total is not None
        return total

    def _connected(
        self, student: Recorder, teacher: Recorder
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Level by level, what the loss sees of both sides."""
        for i, (s, t) in enumerate(zip(*self.levels(student, teacher))):
            like = s
            if self.teacher_connectors:
                t = self.teacher_connectors[i](t, like=like)
            if self.connectors:
                s = self.connectors[i](s, like=t)
            self._check(s, t, i)
            yield s, t

    def idle(self) -> Tensor | float:
        """Zero; tied to the term's parameters, so that DDP does not wait for them."""
        return sum((p.sum() * 0.0 for p in self.parameters()), start=0.0)

    def _check(self, student: Tensor, teacher: Tensor, level: int) -> None:
        """Compare shapes, unless the loss says that it does not mind."""
        if not getattr(self.loss, 'same_shape', True) or student.shape == teacher.shape:
            return
        names = f'\n  student {self.student_paths}: {tuple(student.shape)}'
        names += f'\n  teacher {self.teacher_paths}: {tuple(teacher.shape)}\n'
        classes = [x.shape[1] if x.ndim > 1 else 1 for x in (student, teacher)]
        if getattr(self.loss, 'on_classes', False) and classes[0] != classes[1]:
            raise ValueError(
                f'terms.{self.name}: the student tells {classes[0]} classes apart and '
                f'the teacher {classes[1]}:{names}{type(self.loss).__name__} compares '
                'class by class. Take a teacher trained on the same classes, or '
                'distil features instead.'
            )
        raise ValueError(
            f'terms.{self.name}: shapes differ at level {level}:{names}'
            "connector=dict(type='mmkd.Align') brings the student's feature into the "
            "teacher's shape."
        )


def build_terms(configs: Config, sources: Sequence[str]) -> nn.ModuleDict:
    """Build all terms; where there are several teachers, one for each of them."""
    terms = nn.ModuleDict()
    for key, config in configs.items():
        if 'loss' not in key:
            raise ValueError(
                f"terms.{key}: the name must contain 'loss', since mmengine adds up "
                f"what is called so; call it 'loss_{key}'."
            )
        if '.' in key:
            raise ValueError(f"terms.{key}: a name has no '.'")
        check_arguments(f'terms.{key}', config, Term, given=('name',))
        source = config.get('source')
        if source is not None and source not in sources:
            raise ValueError(
                f"terms.{key}: there is no teacher '{source}', only {list(sources)}"
            )
        for teacher in [source] if source else sources:
            name = f'{key}_{teacher}' if len(sources) > 1 and not source else key
            terms[name] = Term(name, **{**config, 'source': teacher})
    return terms


def count_classes(model: nn.Module) -> int | None:
    """How many classes a model's head tells apart; None if it does not say."""
    for name in ('head', 'decode_head', 'roi_head.bbox_head', 'bbox_head', 'mask_head'):
        try:
            head: Any = model.get_submodule(name)
        except AttributeError:
            continue
        head = head[-1] if isinstance(head, nn.ModuleList) else head  # a cascade's last
        number = getattr(head, 'num_classes', None)
        if isinstance(number, int):
            return number
    return None


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _shapes(levels: Levels) -> list[tuple[int, ...]]:
    return [tuple(level.shape) for level in levels]


class Chain(nn.ModuleList):
    """Connectors one after another, all told what the result is compared with."""

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Pass ``feature`` through all of them."""
        for connector in self:
            feature = connector(feature, like=like)
        return feature


def _build_chain(
    where: str, configs: list[Config], source: Tensor, target: Tensor
) -> tuple[Chain, Tensor]:
    """Build connectors for example features; return them and what comes out."""
    chain = Chain()
    for config in configs:
        shapes = {'source': tuple(source.shape[1:]), 'target': tuple(target.shape[1:])}
        connector = make(where, config, **shapes)
        chain.append(connector)
        with torch.no_grad(), naming(where):
            source = connector(source, like=target)
    return chain, source
