"""How a term's weight changes during training.

A term's config carries its schedule, a list of pieces whose factors multiply::

    schedule=[dict(kind='linear', by='iter', end=1000),          # warm up from 0 to 1
              dict(kind='stop', by='epoch', begin=90)]           # nothing from epoch 90

The progress comes from mmengine's MessageHub, where its own RuntimeInfoHook writes it
at every iteration. Nothing is counted here, so a resumed run goes on exactly.

=========  =============================================================================
kind       factor at time t (iterations or epochs, counted from 0)
=========  =============================================================================
constant   ``factor`` for begin <= t < end, else 1
linear     from ``start`` at begin to ``stop`` at end, on a line
cosine     the same, on half a cosine
sigmoid    the same, on exp(-5 (1 - p)^2), p the share done: the usual ramp-up
step       ``gamma`` to the power of the ``milestones`` reached
every      ``factor`` in every ``steps``-th iteration or epoch, else 0
stop       1 before ``begin``, 0 from then on
=========  =============================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmengine.logging import MessageHub

from mmkd.arguments import Count, Weight, check_arguments, naming

_SHAPES: dict[str, Callable[[float], float]] = {
    'linear': lambda p: p,
    'cosine': lambda p: (1 - math.cos(math.pi * p)) / 2,
    'sigmoid': lambda p: math.exp(-5 * (1 - p) ** 2),
}


@dataclass(frozen=True)
class Piece:
    """One piece of a schedule; see the module's docstring.

    Args:
        kind: What it does; see the table there.
        by: What time is counted in. Iteration-based runs need 'iter'.
        begin: Where it begins: a count, or a share of the run such as 0.5.
        end: Where it ends, likewise; None is the end of training.
        start: Factor at ``begin`` (linear, cosine, sigmoid).
        stop: Factor at ``end`` (linear, cosine, sigmoid).
        factor: The factor of 'constant' and of 'every'.
        steps: Of 'every'.
        milestones: Of 'step', likewise.
        gamma: Of 'step'.
    """

    kind: Literal['constant', 'linear', 'cosine', 'sigmoid', 'step', 'every', 'stop']
    by: Literal['iter', 'epoch'] = 'iter'
    begin: int | float = 0
    end: int | float | None = None
    start: float = 0.0
    stop: float = 1.0
    factor: float = 1.0
    milestones: tuple[int | float, ...] = ()
    gamma: float = 0.1
    steps: Count = 1

    def __post_init__(self) -> None:
        times = [t for t in (self.begin, self.end, *self.milestones) if t is not None]
        if any(isinstance(time, float) and not 0 <= time <= 1 for time in times):
            raise ValueError(f'{times}: a count is an int, a share in [0, 1]')
        comparable = type(self.end) is type(self.begin)
        if comparable and self.end is not None and self.end < self.begin:
            raise ValueError(f'it ends at {self.end}, before {self.begin}')

    def at(self, time: int, length: int) -> float:
        """The factor at ``time`` of a run of ``length``."""
        begin = _count(self.begin, length)
        end = length if self.end is None else _count(self.end, length)
        if self.kind == 'stop':
            return float(time < begin)
        if self.kind == 'every':
            return 0.0 if time % self.steps else self.factor
        if self.kind == 'step':
            reached = sum(_count(m, length) <= time for m in self.milestones)
            return math.pow(self.gamma, reached)
        if self.kind == 'constant':
            return self.factor if begin <= time < end else 1.0
        if time >= end:
            return self.stop
        share = max(0, time - begin) / max(1, end - begin)
        return self.start + (self.stop - self.start) * _SHAPES[self.kind](share)


def _count(time: int | float, length: int) -> int:
    """A count as it is, a share as a count."""
    return round(time * length) if isinstance(time, float) else time


def make_piece(config: Any, where: str = 'schedule') -> Piece:
    """Build a piece from its config; errors begin with ``where``."""
    check_arguments(where, config, Piece)
    with naming(where):
        return Piece(**config)


def current_factor(pieces: tuple[Piece, ...]) -> float:
    """The product of all factors at the present point of the running training."""
    hub = MessageHub.get_current_instance()
    product = 1.0
    for piece in pieces:
        time, length = hub.get_info(piece.by), hub.get_info(f'max_{piece.by}s')
        if time is None or length is None:
            raise RuntimeError(
                'A term has a schedule, but the run does not say how far it is: keep '
                "mmengine's RuntimeInfoHook among the default hooks, or set "
                'term.weight yourself.'
            )
        last = max(piece.begin, piece.end or 0, *piece.milestones, 0)
        if piece.by == 'epoch' and length == 1 and last > 0:
            raise ValueError(
                f'A schedule counts epochs up to {last}, but this run is one epoch '
                "long, as iteration-based runs are: use by='iter'."
            )
        product *= piece.at(time, length)
    return product


class Weighted:
    """What counts with a weight that may change during training.

    Args:
        weight: The weight, where no piece of the schedule changes it.
        schedule: Configs of pieces, whose factors multiply.
        where: The place in the config, for errors.
    """

    def __init__(
        self,
        weight: Weight = 1.0,
        schedule: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
        where: str = 'schedule',
    ) -> None:
        self.base_weight = self.weight = float(weight)
        pieces = [schedule] if isinstance(schedule, Mapping) else schedule
        self.schedule = tuple(make_piece(piece, where) for piece in pieces)

    def update_weight(self) -> float:
        """Follow the schedule, if there is one, and return the present weight."""
        if self.schedule:
            self.weight = self.base_weight * current_factor(self.schedule)
        return self.weight
