"""Loss: what a loss is, and what it is told of the place where it stands.

A loss compares what student and teacher say, and knows neither layers nor weights::

    @MODELS.register_module()
    class Mine(Loss):
        @exact
        def forward(self, student, teacher, targets=None):
            return (student - teacher).abs().mean()

What else it may say of itself are attributes and methods of :class:`Loss`, all of them
optional. A plain ``nn.Module`` with such a ``forward`` is a loss as well.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import torch
from torch import Tensor, nn

from mmkd.arguments import naming
from mmkd.paths import find_module
from mmkd.prelude import Prelude
from mmkd.targets import Targets
from mmkd.teacher.frozen import Frozen

Levels = list[Tensor]  # shallow to deep
# A level, levels in a row, or levels by their names.
Compared = Union[Tensor, Sequence[Any], Mapping[str, Any]]
Forward = Callable[..., Tensor]


class Loss(nn.Module):
    """``forward(student, teacher, targets=None) -> scalar``: unweighted, in fp32.

    It is differentiable in the student alone; the decorator :func:`exact` sees to that.
    A loss that has parameters, or wants to know where it stands, writes :meth:`build`.
    There is one loss for every level then, unless it is ``joint``.

    Attributes:
        joint: All levels in one call: lists, or dicts where the config has names.
        any_levels: Of a joint loss: levels are not compared in pairs, so there may be
            more of them on one side, of any shapes.
        same_shape: The term compares the shapes of both sides.
        on_classes: It compares class by class: another number of them is an error.
        softmax_at: It reads logits, and nothing of the teacher's but their softmax at
            this temperature; so a recording may keep the largest alone. None: it reads
            something else.
    """

    joint = False
    any_levels = False
    same_shape = True
    on_classes = False
    softmax_at: float | None = None
    # What has to learn from the frozen teacher before the student starts, made in
    # ``build``; the hook mmkd.TrainPreludes trains it.
    prelude: Prelude | None

    def __init__(self) -> None:
        super().__init__()
        self.prelude = None

    def build(self, site: Site) -> None:
        """Make what depends on the features; called once, before training."""

    def check_data(self, dataset: Any) -> None:
        """Raise if the loss was made for other data than a run trains on."""

    def forward(
        self, student: Any, teacher: Any, targets: Targets | None = None
    ) -> Tensor:
        """Compare both sides."""
        raise NotImplementedError


@dataclass(frozen=True)
class Site:
    """Where a loss stands.

    Args:
        students: Examples of what the loss will compare, behind the connectors: a list
            of levels, or a dict if the config names them. A loss of one level has one.
        teachers: The same of the other side.
        student: The student's model.
        teacher: The model on the other side; of several the one of the first path.
        paths: The paths on both sides.
        classes: How many classes the student tells apart, if that is known.
        frozen: Where borrowed parts are kept, so that they follow to another device.
        name: The term's.
    """

    students: Any
    teachers: Any
    student: nn.Module | None = None
    teacher: nn.Module | None = None
    paths: tuple[Sequence[str], Sequence[str]] = ((), ())
    classes: int | None = None
    frozen: dict[str, Frozen] = field(default_factory=dict)
    name: str = ''

    def look_at(self, part: str) -> nn.Module:
        """A part of the teacher, to read numbers from now (``borrow`` is to keep)."""
        if self.teacher is None:
            raise ValueError(f"there is no teacher whose '{part}' could be read.")
        return find_module(self.teacher, part)

    def borrow(self, *parts: str) -> Frozen:
        """Copies of parts of the teacher, run one after another, that never learn.

        They are in no ``state_dict`` and no optimizer, and stay as the teacher had
        them when it was loaded. Gradients go through them to the student.
        """
        where = f'terms.{self.name}'
        if self.teacher is None:
            raise ValueError(f'{where}: there is no teacher to borrow {parts} from.')
        if any(p.requires_grad for p in self.teacher.parameters()):
            raise ValueError(
                f'{where}: {parts} can be borrowed from a frozen teacher alone; this '
                f'{type(self.teacher).__name__} learns, and a copy would not.'
            )
        modules = []
        for part in parts:
            with naming(f"{where}: '{part}' cannot be borrowed from the teacher"):
                module = find_module(self.teacher, part)
                if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
                    raise ValueError('it does not run by itself: name what is in it.')
            modules.append(copy.deepcopy(module))
        held = Frozen(modules[0] if len(modules) == 1 else nn.Sequential(*modules))
        for inner in held.model.modules():
            if getattr(inner, 'inplace', False):  # it would overwrite what comes in
                vars(inner)['inplace'] = False
        self.frozen[f'{self.name}: {" ".join(parts)} ({len(self.frozen)})'] = held
        return held


def exact(forward: Forward) -> Forward:
    """Decorate a loss's ``forward(self, student, teacher, targets=None)``.

    Inside, half precision is cast to fp32, autocast is off and the teacher is detached,
    whether a side is one level, a sequence of levels or a dict of them. So no loss can
    forget it.
    """

    @functools.wraps(forward)  # same[decorator]: names and docstrings
    def wrapped(
        self: Any, student: Compared, teacher: Compared, *args: Any, **kw: Any
    ) -> Tensor:
        with torch.autocast(_device(student), enabled=False):
            return forward(
                self,
                _mapped(in_fp32, student),
                _mapped(_fixed, teacher),
                *args,
                **kw,
            )

    return wrapped


def in_fp32(x: Tensor) -> Tensor:
    """Half precision to fp32; fp32 and fp64 stay."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _fixed(x: Tensor) -> Tensor:
    return in_fp32(x.detach())


def _mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """A function of every tensor in sequences and dicts."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: _mapped(function, item) for key, item in value.items()}
    return [_mapped(function, item) for item in value]


def _device(value: Any) -> str:
    """The kind of device that the first tensor is on."""
    while not isinstance(value, Tensor):
        value = next(iter(value.values() if isinstance(value, Mapping) else value))
    return value.device.type


class Foreign(Loss):
    """A loss that is a plain module, with the attributes that it happens to have."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        for name in ('joint', 'any_levels', 'same_shape', 'on_classes', 'softmax_at'):
            setattr(self, name, getattr(module, name, getattr(Loss, name)))

    @exact
    def forward(
        self, student: Any, teacher: Any, targets: Targets | None = None
    ) -> Tensor:
        """Let the module compare both sides."""
        value: Tensor = self.module(student, teacher, targets)
        return value


def as_loss(module: nn.Module) -> Loss:
    """The loss that a module is."""
    return module if isinstance(module, Loss) else Foreign(module)
