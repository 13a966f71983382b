"""Term: where x connector x loss x weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Union

from torch import Tensor, nn

from mmkd.arguments import Weight, naming
from mmkd.loss import Loss, Site, as_loss
from mmkd.registry import make
from mmkd.schedule import Weighted
from mmkd.side import STUDENT, Levels, Records, Side, as_list, shapes
from mmkd.targets import Targets

Config = Mapping[str, Any]
Paths = Union[str, Sequence[str], Mapping[str, Any]]


class Term(nn.Module, Weighted):
    """One distillation loss: ``weight * sum over levels of loss(student, teacher)``.

    Args:
        name: The key it is logged under.
        loss: Config of the loss (see :class:`mmkd.loss.Loss`).
        student: Path or paths in the student (see :mod:`mmkd.paths`); or names with a
            path or paths each, for losses that want dicts.
        teacher: The same in the teacher. None: as in the student.
        weight: Factor of the loss. At zero nothing of the term is computed.
        connector: Config of what the student's feature passes through, or a list that
            is a chain. One is built for every level.
        teacher_connector: The same for the teacher's feature; without parameters, since
            nothing would train them.
        schedule: Pieces that change the weight over time (see :mod:`mmkd.schedule`).
        source: The network that the teacher's paths are in, where there are several
            teachers. None: one such term for each of them.
        labels: Path, in the student, of what the loss takes for labels: what a head
            has made for its own loss, as in 'bbox_head.get_targets()[1]'. Of a RoI head
            that is one label for each region, in the order of its logits (n, K + 1). Of
            a dense head each level with logits (N, A K, H, W) has N H W A labels, by
            image, row, column and anchor; in a joint loss ``targets.labels`` is the
            list of them. K is the background. :func:`mmkd.regions.rows` pairs both.
        clone: Keep a copy of what is tapped, because the network overwrites it.
        scale: A factor of the weight that is the teacher's.
    """

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        loss: Config,
        student: Paths,
        teacher: Paths | None = None,
        weight: Weight = 1.0,
        connector: Config | Sequence[Config] | None = None,
        teacher_connector: Config | Sequence[Config] | None = None,
        schedule: Config | Sequence[Config] = (),
        source: str | None = None,
        labels: str | None = None,
        clone: bool = False,
        scale: Weight = 1.0,
    ) -> None:
        where = f'terms.{name}'
        nn.Module.__init__(self)
        Weighted.__init__(self, weight * scale, schedule, f'{where}.schedule')
        self.name = name
        self.config = loss
        self.losses = nn.ModuleList([self._make_loss()])
        self.source = source
        self.clone = clone
        own = str(source)
        teacher = student if teacher is None else teacher
        chains = as_list(connector), as_list(teacher_connector)
        self.student = Side(f'{where}.student', student, STUDENT, chains[0])
        self.teacher = Side(f'{where}.teacher', teacher, own, chains[1])
        self.labels = Side(f'{where}.labels', labels, STUDENT) if labels else None
        self.connectors = self.student.chains
        self.teacher_connectors = self.teacher.chains

    def _make_loss(self) -> Loss:
        return as_loss(make(f'terms.{self.name}.loss', self.config))

    @property
    def loss(self) -> Loss:
        """The loss; where each level has one, the first level's."""
        first: Any = self.losses[0]
        loss: Loss = first
        return loss

    @property
    def student_paths(self) -> list[str]:
        """The paths on the student's side."""
        return self.student.paths

    @property
    def teacher_paths(self) -> list[str]:
        """The paths on the teacher's side."""
        return self.teacher.paths

    @property
    def sides(self) -> list[Side]:
        """All that it reads."""
        return [self.student, self.teacher, *([self.labels] if self.labels else [])]

    @property
    def raw_name(self) -> str:
        """The key of the unweighted value; without 'loss', so that it is not summed."""
        return raw_name(self.name)

    def reads(self, network: str) -> list[str]:
        """The paths that it reads in a network."""
        return [path for side in self.sides for path in side.reads(network)]

    # -- building ---------------------------------------------------------------------

    def build(self, records: Records, site: Site) -> None:
        """Build connectors and losses from example features, and check the shapes.

        Args:
            records: What the networks did with two images.
            site: What a loss is told, but for the features.
        """
        where = f'terms.{self.name}'
        students, teachers, counts = self._read(records)
        chained = self.student.configs or self.teacher.configs
        if chained and len(students) != len(teachers):
            raise ValueError(
                f'{where}: its loss takes any numbers of levels, but a connector joins '
                f'two: there are {len(students)} and {len(teachers)}.'
            )
        for i, (s, t) in enumerate(zip(students, teachers)):
            t = self.teacher.build(t, s, f'{where}.teacher_connector')
            s = self.student.build(s, t, f'{where}.connector')
            self._check(s, t, i)
            students[i], teachers[i] = s, t
        learned = [name for name, _ in self.teacher_connectors.named_parameters()]
        if learned:
            raise ValueError(
                f'{where}.teacher_connector: it has parameters ({learned[0]}), and '
                "nothing would train them, since the teacher's side is fixed. Put the "
                "connector on the student's side; an embedding of both sides that "
                'learns belongs in the loss.'
            )
        if type(self.loss).build is Loss.build:
            return
        with naming(f'{where}.loss'):
            if self.loss.joint:
                s, t = self._formed(students, teachers, counts)
                self.loss.build(replace(site, students=s, teachers=t, name=self.name))
                return
            for i, (one, other) in enumerate(zip(students, teachers)):
                if i:
                    self.losses.append(self._make_loss())
                own = replace(site, students=[one], teachers=[other], name=self.name)
                loss: Any = self.losses[i]
                loss.build(own)

    def _check(self, student: Tensor, teacher: Tensor, level: int) -> None:
        """Compare shapes, unless the loss says that it does not mind."""
        loss = self.loss
        if not loss.same_shape or student.shape == teacher.shape:
            return
        names = f'\n  student {self.student_paths}: {tuple(student.shape)}'
        names += f'\n  teacher {self.teacher_paths}: {tuple(teacher.shape)}\n'
        classes = [x.shape[1] if x.ndim > 1 else 1 for x in (student, teacher)]
        if loss.on_classes and classes[0] != classes[1]:
            raise ValueError(
                f'terms.{self.name}: the student tells {classes[0]} classes apart and '
                f'the teacher {classes[1]}:{names}{self.config["type"]} compares '
                'class by class. Take a teacher trained on the same classes, or '
                'distil features instead.'
            )
        raise ValueError(
            f'terms.{self.name}: shapes differ at level {level}:{names}'
            "connector=dict(type='mmkd.Align') brings the student's feature into the "
            "teacher's shape."
        )

    # -- a step -----------------------------------------------------------------------

    def _read(self, records: Records) -> tuple[Levels, Levels, list[list[int]]]:
        """The features on both sides, and how many each path gave."""
        both = [side.recorded(records) for side in (self.student, self.teacher)]
        students, teachers = ([x for own in side for x in own] for side in both)
        if len(students) != len(teachers) and not self.loss.any_levels:
            raise ValueError(
                f'terms.{self.name}: the student gives {len(students)} levels and the '
                f'teacher {len(teachers)}:'
                f'\n  student {self.student_paths}: {shapes(students)}'
                f'\n  teacher {self.teacher_paths}: {shapes(teachers)}\n'
                "Choose the ones that belong together, as in 'neck[:4]'."
            )
        return students, teachers, [[len(own) for own in side] for side in both]

    def levels(self, records: Records) -> tuple[Levels, Levels]:
        """The features on both sides; raises if the numbers of levels differ."""
        students, teachers, _ = self._read(records)
        return students, teachers

    def teacher_levels(self, records: Records) -> Levels:
        """The features of the teacher."""
        return [level for own in self.teacher.recorded(records) for level in own]

    def _formed(
        self, students: Levels, teachers: Levels, counts: list[list[int]]
    ) -> tuple[Any, Any]:
        return (
            self.student.formed(students, counts[0]),
            self.teacher.formed(teachers, counts[1]),
        )

    def forward(self, records: Records, targets: Targets | None = None) -> Tensor:
        """The unweighted loss: summed over levels, or of all together if it is joint.

        Args:
            records: What the networks did in this step, by their names.
            targets: The ground truth, for losses that want it.
        """
        students, teachers, counts = self._read(records)
        known = list(self._known(records, targets, len(students)))
        pairs = self._connected(students, teachers)
        if self.loss.joint:
            if len(students) == len(teachers):
                both = list(zip(*pairs))
                students, teachers = list(both[0]), list(both[1])
            s, t = self._formed(students, teachers, counts)
            together: Tensor = self.loss(s, t, known[0])
            return together
        total: Tensor | None = None
        for i, (s, t) in enumerate(pairs):
            loss = self.losses[i if len(self.losses) > 1 else 0]
            value = loss(s, t, known[i])
            total = value if total is None else total + value
        assert total is not None
        return total

    def _connected(
        self, students: Levels, teachers: Levels
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Level by level, what the loss sees of both sides."""
        for i, (s, t) in enumerate(zip(students, teachers)):
            like = s
            t = self.teacher.connected(t, like, i)
            s = self.student.connected(s, t, i)
            self._check(s, t, i)
            yield s, t

    def _known(
        self, records: Records, targets: Targets | None, count: int
    ) -> Iterator[Targets | None]:
        """The ground truth of each level, with the labels that the term has read."""
        if self.labels is None or targets is None:
            yield from [targets] * max(1, count)
            return
        found = [x for own in self.labels.recorded(records) for x in own]
        if self.loss.joint or len(found) == 1:
            labels: Any = found[0] if len(found) == 1 else found
            yield from [targets.with_labels(labels)] * max(1, count)
            return
        if len(found) != count:
            raise ValueError(
                f'terms.{self.name}: {count} levels, and labels for {len(found)}.'
            )
        yield from (targets.with_labels(labels) for labels in found)

    def idle(self) -> Tensor | float:
        """Zero; tied to the term's parameters, so that DDP does not wait for them."""
        return sum((p.sum() * 0.0 for p in self.parameters()), start=0.0)


def raw_name(name: str) -> str:
    """What a term's unweighted value is called."""
    return 'raw_' + (name.replace('loss', '').strip('_.') or 'term')
