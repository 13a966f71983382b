"""What every method's tests share: cases, values of the authors' code, targets.

A method has a file ``tests/methods/test_<method>.py``, which is found by its name::

    CASES = [Case(DKD, (4, 5), targets='labels', rows=True)]
    GOLDEN = [
        Golden(DKD, (4, 10), targets=Targets(labels=…), value=1.23456789,
               source='github.com/megvii-research/mdistiller 1e1d11e: dkd_loss(…)'),
    ]

and beside them its own tests: what must not change the value, and what is special. With
nothing else tests/test_numbers.py asks of every case: gradients against finite
differences, fp32 and half precision, extreme values, equal features, repeated and
halved batches, batches without regions; and of every value that it is the authors'.
``pytest --method dkd`` runs all that is of one method.

Where no authors' code can be run, NAIVE names the tests of that file that derive the
value by loops; where it can, but not in the form of GOLDEN, AUTHORS has the tests, each
with its source.
CONNECTORS and NETWORKS are tables like CASES, where a method has such. With the line
LEARNS = Learns() tests/test_learning.py trains a network with the method.

A cell of tests/test_matrix.py is a method on a small model (tests/zoo.py), as its
fragment has it. What cannot be so in a trial, the fragment's ``method`` says itself::

    trial={'terms.loss_intermediate.loss.codebook': 'random',
           'student.layers.intermediate.templates': 40}

Each key is a place in a kind's arguments, and is left out of kinds that lack its parent
('terms.loss_intermediate.loss'). Models in trials have 5 classes.
"""

from __future__ import annotations

import importlib
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Union

import torch
from torch import Tensor, nn

from mmkd.loss import Loss, Site, as_loss
from mmkd.registry import make
from mmkd.targets import Targets
from mmkd.teacher.frozen import Frozen

FOLDER = Path(__file__).parent / 'methods'
BROKEN: dict[str, Exception] = {}  # files that could not be imported
ONLY: str | None = None  # the method that pytest is asked for
Shape = tuple[int, ...]
# A shape (of waves), a tensor as it is; levels of them in a list, named ones in a dict.
Form = Union[Shape, Tensor, list, dict]


@dataclass(frozen=True)
class Place:
    """A loss, and what it compares.

    Args:
        loss: Makes it.
        student: A shape; for a joint loss a list of them, or a dict with names. Instead
            of a shape a tensor may stand, for losses to which waves mean nothing.
        teacher: The same of the other side. None: as the student's.
        targets: The ground truth; or 'labels', 'pixels' or 'boxes' for one that fits.
        classes: How many classes a loss is told of when it is built.
        model: Makes the teacher that a loss borrows parts from when it is built.
        connector: Config of what the student's levels pass through first.
        paths: The paths that a loss is told of when it is built.
    """

    loss: Callable[[], nn.Module]
    student: Form
    teacher: Form | None = None
    targets: Targets | str | None = None
    classes: int | None = None
    model: Callable[[], nn.Module] | None = None
    connector: Mapping[str, Any] | None = None
    paths: tuple[list[str], list[str]] = ((), ())  # type: ignore[assignment]


@dataclass(frozen=True)
class Case(Place):
    """A loss of which all must hold that holds for every loss, but for what it says.

    Args:
        zero: Whether it is zero for equal features; 'waves' if for such that vary.
        negative: It may be below zero.
        batch_coupled: It compares images of a batch with each other, so that the mean
            of two halves is not the value of the whole.
        stateful: A call changes what the next one gives; ``state_dict`` knows it.
        rows: A batch may have no rows, as one without regions: zero, with a gradient.
        held: Its gradient holds something fixed that hangs on the student, as a weight,
            and is not the slope of its value: GOLDEN has the authors' gradient then.
        nothing: The value of a batch in which all pixels are ignored, or that has no
            boxes; None if it is any finite one.
        scale: The size of what is summed, where much of it cancels: fp32 may be wrong
            by 1e-7 of it.
        without: Words in the names of extremes that cannot be, each with the reason:
            {'one pixel': 'it compares neighbours'}.
    """

    zero: bool | str = True
    negative: bool = False
    batch_coupled: bool = False
    stateful: bool = False
    rows: bool = False
    held: bool = False
    nothing: float | None = 0.0
    scale: float = 1.0
    without: Mapping[str, str] = field(default_factory=dict)

    def excused(self, extreme: str) -> bool:
        """Whether there is a reason not to ask for an extreme."""
        return any(word in extreme for word in self.without)


@dataclass(frozen=True)
class Golden(Place):
    """A value that the authors' code gave in float64.

    The student's features are ``wave(*shape, phase=i)`` for level i (counted through
    lists and dicts), the teacher's ``wave(*shape, phase=i + 1)``.

    Args:
        value: Of the loss, unweighted.
        source: 'github.com/owner/repo commit: Class(args)'.
        gradient: The length of its gradient in the student's features, if that is
            known.
        rel: How exactly it must agree.
        why: The reason for another ``rel`` than 1e-12: an epsilon of the authors', …
        fill: What gives parameters their values; True is :func:`filled`.
    """

    value: float = math.nan
    source: str = ''
    gradient: float | None = None
    rel: float = 1e-12
    why: str = ''
    fill: bool | Callable[[nn.Module], Any] = False


@dataclass(frozen=True)
class Learns:
    """How a method teaches a small network to read digits (tests/test_learning.py).

    Args:
        changes: Places in the distiller's arguments, and what they are here: weights
            that suit digits.
        gain: Whether the student must read as many digits as without the method.
        share: Every term must end below this share of where it ends if its gradient
            does not reach the student.
        prepare: Does more to the config, given the teacher's config and weights.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    gain: bool = True
    share: float = 0.85
    prepare: Callable[[Any, dict[str, Any], Path], Any] | None = None


@dataclass(frozen=True)
class Connector:
    """A connector with the shapes of what comes in and of what it is to be like.

    Args:
        make: Makes it.
        source: With the batch.
        target: Likewise.
    """

    make: Callable[[], nn.Module]
    source: Shape
    target: Shape


@dataclass(frozen=True)
class Network:
    """A network whose gradients are checked.

    Args:
        make: Makes it.
        shapes: Of its arguments.
    """

    make: Callable[[], nn.Module]
    shapes: list[Shape]


def wave(*shape: int, phase: float = 0.0, scale: float = 3.0) -> Tensor:
    """The same numbers on every machine and version, in float64."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (scale * torch.sin(0.7 * i + phase + 0.01 * i**2)).view(shape)


def filled(module: Any) -> Any:
    """In training and float64, with the same weights everywhere."""
    for i, p in enumerate(module.parameters()):
        p.data = wave(*p.shape, phase=i, scale=0.5) + (p.ndim == 1)
    return module.double().train()


# -- features --------------------------------------------------------------------------


def mapped(function: Callable[[Any], Any], form: Any) -> Any:
    """A function of every shape or tensor in lists and dicts."""
    if isinstance(form, dict):
        return {name: mapped(function, item) for name, item in form.items()}
    if isinstance(form, list):
        return [mapped(function, item) for item in form]
    return function(form)


def leaves(form: Any) -> list[Any]:
    """All shapes or tensors of lists and dicts."""
    found: list[Any] = []
    mapped(found.append, form)
    return found


def features(form: Form, phase: float = 0.0) -> Any:
    """Waves in float64, each level with a phase of its own."""
    count = itertools.count()

    def one(leaf: Any) -> Tensor:
        i = next(count)
        return (
            leaf.double() if isinstance(leaf, Tensor) else wave(*leaf, phase=phase + i)
        )

    return mapped(one, form)


def sides(place: Place, equal: bool = False) -> tuple[Any, Any]:
    """What both sides of a loss see, in float64."""
    teacher = place.student if place.teacher is None or equal else place.teacher
    return features(place.student), features(teacher, phase=0.0 if equal else 1.0)


class Made(nn.Module):
    """A loss, built where it stands.

    Args:
        place: The loss and what it compares.
        dtype: Of its examples, and of the teacher.
        equal: Both sides have the student's shapes.
    """

    def __init__(
        self, place: Place, dtype: torch.dtype = torch.float32, equal: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.loss = as_loss(place.loss())
        self.frozen: dict[str, Frozen] = {}
        both = [mapped(lambda x: x.to(dtype), side) for side in sides(place, equal)]
        self.connectors = nn.ModuleList()
        if place.connector is not None:
            both[0] = [self._connector(place.connector, *pair) for pair in zip(*both)]
        if type(self.loss).build is not Loss.build:
            self.loss.build(self._site(place, both, dtype))
        for p in self.parameters():
            if not p.any():  # what stands behind it would not be seen
                p.data = wave(*p.shape, scale=0.1).to(p)
        self.train()

    def _site(self, place: Place, both: list[Any], dtype: torch.dtype) -> Site:
        levels = [[x] if isinstance(x, Tensor) else x for x in both]
        teacher = None
        if place.model is not None:
            teacher = place.model().to(dtype).eval().requires_grad_(False)
        student = nn.Identity()
        return Site(
            *levels, student, teacher, place.paths, place.classes, self.frozen, 'case'
        )

    def _connector(self, config: Mapping[str, Any], s: Tensor, t: Tensor) -> Tensor:
        shapes = [tuple(x.shape[1:]) for x in (s, t)]
        made = make('connector', config, source=shapes[0], target=shapes[1])
        self.connectors.append(made.to(s.dtype))
        with torch.no_grad():
            example: Tensor = made(s, like=t)
        return example

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        for frozen in self.frozen.values():
            frozen.apply(fn)
        return super()._apply(fn, *args, **kwargs)

    def forward(self, student: Any, teacher: Any, targets: Targets | None) -> Tensor:
        """The loss's value; what it draws at random is always the same."""
        torch.manual_seed(0)
        if len(self.connectors):
            triples = zip(self.connectors, student, teacher)
            student = [connector(s, like=t) for connector, s, t in triples]
        if self.loss.joint or isinstance(student, Tensor):
            value: Tensor = self.loss(student, teacher, targets)
            return value
        return sum(self.loss(s, t, targets) for s, t in zip(student, teacher))


# -- ground truth ----------------------------------------------------------------------


def targets_of(place: Place) -> Targets | None:
    """The ground truth of a case; one that fits, if the case says its kind alone."""
    if not isinstance(place.targets, str):
        return place.targets
    shape = _first(place)
    count, classes = shape[0], place.classes or shape[1]
    if place.targets == 'labels':
        return Targets(labels=(2 * torch.arange(count) + 1) % classes)
    if place.targets == 'pixels':
        height, width = 2 * shape[-2], 2 * shape[-1]
        pixels = torch.arange(height * width).view(height, width)
        maps = [(pixels + i) % (classes + 1) % classes for i in range(count)]
        maps[0][: height // 2] = 255
        return Targets(seg_maps=maps, input_size=(height, width))
    if place.targets == 'boxes':
        empty = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
        one = torch.tensor([[1.0, 2.0, 30.0, 20.0]]), torch.tensor([classes - 1])
        boxes, labels = zip(one, *[empty] * (count - 1))
        return Targets(
            boxes=list(boxes),
            box_labels=list(labels),
            input_size=(32, 32),
            image_sizes=[(32, 32)] * count,
        )
    raise ValueError(f"targets '{place.targets}': labels, pixels, boxes, or Targets(…)")


def _first(place: Place) -> Shape:
    """The shape of the student's first level."""
    leaf = leaves(place.student)[0]
    return tuple(leaf.shape) if isinstance(leaf, Tensor) else leaf


def changed(targets: Targets | None, change: Callable[[Any], Any]) -> Targets | None:
    """Ground truth with every field that has a value for each image changed."""
    if targets is None:
        return None
    each = {k: v for k, v in vars(targets).items() if isinstance(v, (list, Tensor))}
    return replace(targets, **{key: change(value) for key, value in each.items()})


def cast(targets: Targets | None, dtype: torch.dtype) -> Targets | None:
    """Ground truth in which what is a fraction has the precision of the features."""

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(item) for item in value]
        floating = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(dtype) if floating else value

    return changed(targets, one)


def twice(value: Any) -> Any:
    """What belongs to the images of a batch, when each of them comes twice."""
    return value + value if isinstance(value, list) else torch.cat([value, value])


def without_things(targets: Targets) -> Targets | None:
    """Ground truth in which no pixel counts and no box is; None if it has neither."""
    if targets.seg_maps is not None:
        ignored = [torch.full_like(m, targets.ignore_index) for m in targets.seg_maps]
        return replace(targets, seg_maps=ignored)
    if targets.boxes is not None and targets.box_labels is not None:
        boxes = [b[:0] for b in targets.boxes]
        return replace(
            targets, boxes=boxes, box_labels=[b[:0] for b in targets.box_labels]
        )
    return None


# -- the methods' files ----------------------------------------------------------------


def load(only: str | None = None) -> dict[str, ModuleType]:
    """The test files of all methods, or of one; that of ``pytest --method``."""
    only = only or ONLY
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    found = {}
    for file in sorted(FOLDER.glob(f'test_{only or "*"}.py')):
        try:
            found[file.stem[5:]] = importlib.import_module(file.stem)
        except Exception as error:  # it fails by its name, and the others run
            BROKEN[file.stem[5:]] = error
    return found


def table(methods: Mapping[str, ModuleType], name: str) -> Iterator[tuple[str, Any]]:
    """What all methods have in a table, each with an id: 'kd-0'."""
    for method, module in methods.items():
        rows = getattr(module, name, [])
        for i, row in enumerate(rows):
            yield f'{method}-{i}', row
