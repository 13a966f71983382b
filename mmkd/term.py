"""Term: where x connector x loss x weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from mmkd.arguments import Config, Weight, naming
from mmkd.loss import Levels, Loss, Site, as_loss
from mmkd.registry import make
from mmkd.schedule import Weighted
from mmkd.side import STUDENT, TEACHER, Records, Side, as_list
from mmkd.targets import Targets

Counts = tuple[list[int], list[int]]


class Term(nn.Module, Weighted):
    """One distillation loss: ``weight * sum over levels of loss(student, teacher)``.

    Args:
        name: The key it is logged under.
        loss: Config of the loss (see :class:`mmkd.loss.Loss`).
        student: Path or paths in the student (see :mod:`mmkd.paths`); or, for a joint
            loss that wants dicts, names with a path or paths each.
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
        student: str | Sequence[str] | Mapping[str, Any],
        teacher: str | Sequence[str] | Mapping[str, Any] | None = None,
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
        teacher = student if teacher is None else teacher
        chains = as_list(connector), as_list(teacher_connector)
        self.student = Side(f'{where}.student', student, STUDENT, chains[0])
        self.teacher = Side(f'{where}.teacher', teacher, source or TEACHER, chains[1])
        self.labels = None
        if labels is not None:
            self.labels = Side(f'{where}.labels', labels, STUDENT)
        self.connectors = self.student.chains
        self.teacher_connectors = self.teacher.chains
        self.built: int | None = None
        self._check_names()

    def _make_loss(self) -> Loss:
        return as_loss(make(f'terms.{self.name}.loss', self.config))

    def _check_names(self) -> None:
        """Raise where nobody would read the names of levels, or in another order."""
        sides = [side for side in (self.student, self.teacher) if side.named]
        if sides and not self.loss.joint:
            raise ValueError(
                f'{sides[0].where}: names are for losses that take all levels at once. '
                f'{self.config["type"]} takes one after another: give a list.'
            )
        if len(sides) < 2 or self.loss.any_levels:
            return
        one, two = (side.names for side in sides)
        if one != two:
            raise ValueError(
                f'terms.{self.name}: levels are compared in pairs, so both sides need '
                f'the same names in the same order, not {one} and {two}.'
            )

    @property
    def loss(self) -> Loss:
        """The loss; where each level has its own, the first level's."""
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
        with naming(f'{where}.loss'):
            self._build_losses(students, teachers, counts, site)
        if len(self.losses) > 1 or self.student.configs or self.teacher.configs:
            self.built = len(students)

    def _build_losses(
        self, students: Levels, teachers: Levels, counts: Counts, site: Site
    ) -> None:
        """Tell the loss where it stands; make one for every level, if it asks."""
        if type(self.loss).build is Loss.build:
            return
        if self.loss.joint:
            s, t = self._formed(students, teachers, counts)
            self.loss.build(replace(site, students=s, teachers=t, name=self.name))
            return
        self.losses.extend(self._make_loss() for _ in students[1:])
        for loss, s, t in zip(self.losses, students, teachers):
            own = replace(site, students=[s], teachers=[t], name=self.name)
            loss.build(own)  # type: ignore[operator]

    def _check(self, student: Tensor, teacher: Tensor, level: int) -> None:
        """Compare shapes, unless the loss says that it does not mind."""
        loss = self.loss
        careless = loss.any_levels or not loss.same_shape
        if careless or student.shape == teacher.shape:
            return
        names = f'\n  student {self.student}: {tuple(student.shape)}'
        # same[string]: words of an error
        names += f'\n  teacher {self.teacher}: {tuple(teacher.shape)}\n'
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

    def forward(self, records: Records, targets: Targets | None = None) -> Tensor:
        """The unweighted loss: summed over levels, or of all together if it is joint.

        Args:
            records: What the networks did in this step, by their names.
            targets: The ground truth, for losses that want it.
        """
        students, teachers, counts = self._read(records)
        known = self._known(records, targets, len(students))
        pairs = self._connected(students, teachers)
        if self.loss.joint:
            if len(students) == len(teachers):  # otherwise nothing is connected
                students, teachers = map(list, zip(*pairs))
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

    def levels(self, records: Records) -> tuple[Levels, Levels]:
        """The features on both sides; raises if the numbers of levels differ."""
        students, teachers, _ = self._read(records)
        return students, teachers

    def teacher_levels(self, records: Records) -> Levels:
        """The features of the teacher."""
        return [level for own in self.teacher.recorded(records) for level in own]

    def _read(self, records: Records) -> tuple[Levels, Levels, Counts]:
        """The features on both sides, and how many each path gave."""
        both = [side.recorded(records) for side in (self.student, self.teacher)]
        students, teachers = ([x for own in side for x in own] for side in both)
        free = self.loss.joint and self.loss.any_levels
        joined = self.student.configs or self.teacher.configs
        if len(students) != len(teachers) and (joined or not free):
            why = "Choose the ones that belong together, as in 'neck[:4]'."
            if free:
                why = 'The loss takes any, but a connector needs one of each.'
            raise ValueError(
                f'terms.{self.name}: the student gives {len(students)} levels and the '
                f'teacher {len(teachers)}:\n  student {self.student}: '
                f'{_shapes(students)}\n  teacher {self.teacher}: {_shapes(teachers)}\n'
                + why
            )
        if self.built not in (None, len(students)):
            raise ValueError(
                f'terms.{self.name}: {self.student} gives {len(students)} levels, and '
                f'gave {self.built} when a connector or a loss was built for each.'
            )
        counts = [[len(own) for own in side] for side in both]
        return students, teachers, (counts[0], counts[1])

    def _formed(
        self, students: Levels, teachers: Levels, counts: Counts
    ) -> tuple[Any, Any]:
        """Both sides as a joint loss gets them."""
        return (
            self.student.formed(students, counts[0]),
            self.teacher.formed(teachers, counts[1]),
        )

    def _connected(
        self, students: Levels, teachers: Levels
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Level by level, what the loss sees of both sides."""
        for i, (s, t) in enumerate(zip(students, teachers)):
            t = self.teacher.connected(t, s, i)
            s = self.student.connected(s, t, i)
            self._check(s, t, i)
            yield s, t

    def _known(
        self, records: Records, targets: Targets | None, count: int
    ) -> list[Targets | None]:
        """The ground truth of each level, with the labels that the term has read."""
        if self.labels is None:
            return [targets] * count
        targets = targets or Targets()
        found = [x for own in self.labels.recorded(records) for x in own]
        if self.loss.joint or len(found) == 1:
            labels: Any = found[0] if len(found) == 1 else found
            return [targets.with_labels(labels)] * count
        if len(found) != count:
            raise ValueError(
                f'{self.labels.where}: there are {count} levels, and labels for '
                f'{len(found)}.'
            )
        return [targets.with_labels(labels) for labels in found]

    def idle(self) -> Tensor | float:
        """Zero; tied to the term's parameters, so that DDP does not wait for them."""
        return sum(p.sum() * 0.0 for p in self.parameters())


def raw_name(name: str) -> str:
    """What a term's unweighted value is called."""
    return 'raw_' + (name.replace('loss', '').strip('_.') or 'term')


def _shapes(levels: Sequence[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(level.shape) for level in levels]
