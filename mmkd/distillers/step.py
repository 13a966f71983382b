"""One step: which networks run, and what each of them is recorded doing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from mmkd.finite import Tapped
from mmkd.recorder import Recorder
from mmkd.schedule import Weighted
from mmkd.side import STUDENT, Records
from mmkd.term import Term

Losses = dict[str, Tensor]


class Student:
    """The student's part of a step. It runs once, when somebody first asks.

    Args:
        model: The student.
        terms: The terms that count in this step.
        more: Paths to record beside theirs.
        run: Runs the model and returns its losses.
    """

    def __init__(
        self,
        model: nn.Module,
        terms: Iterable[Term],
        more: Iterable[str],
        run: Callable[[], Losses],
    ) -> None:
        self._recorder = watch(model, STUDENT, terms, more)
        self._run = run
        self._losses: Losses | None = None

    @property
    def losses(self) -> Losses:
        """Its own losses."""
        if self._losses is None:
            with self._recorder:
                self._losses = self._run()
        return self._losses

    @property
    def record(self) -> Recorder:
        """What it did."""
        assert self.losses is not None
        return self._recorder


def watch(
    model: nn.Module,
    network: str,
    terms: Iterable[Term],
    more: Iterable[str] = (),
    enough: bool = False,
) -> Recorder:
    """A recorder of what terms read in a network.

    Args:
        model: The network.
        network: Its name in paths.
        terms: The terms.
        more: Further paths.
        enough: See :class:`mmkd.recorder.Recorder`.
    """
    paths: list[str] = []
    cloned: list[str] = []
    for term in terms:
        own = term.reads(network)
        paths += own
        cloned += own if term.clone else []
    return Recorder(model, [*paths, *more], cloned, enough)


class Own(Weighted):
    """What the student's own losses count: a weight, and its schedule.

    Args:
        weight: Factor of every loss of the student's own. At zero it learns from the
            terms alone; its losses are computed all the same, and logged as zero.
        schedule: Pieces that change the weight over time (see :mod:`mmkd.schedule`).
    """

    def __call__(self, losses: Losses) -> Losses:
        """The student's losses with their present weight."""
        weight = self.update_weight()
        return losses if weight == 1 else scaled(losses, weight)


def scaled(losses: Mapping[str, Any], weight: float) -> Losses:
    """Losses times a weight; what is not called a loss stays."""
    return {
        key: _times(value, weight) if 'loss' in key else value
        for key, value in losses.items()
    }


def _times(value: Any, weight: float) -> Any:
    """A loss, or a list of them as mmdet's heads return."""
    if isinstance(value, (list, tuple)):
        return [item * weight for item in value]
    return value * weight


def merge(*parts: Losses) -> Losses:
    """Join losses under different names; raise if two have the same."""
    merged: Losses = {}
    for part in parts:
        twice = set(part) & set(merged)
        if twice:
            raise ValueError(
                f'Both the student and a term report {sorted(twice)}: rename the term.'
            )
        merged.update(part)
    return merged


def tapped(term: Term, records: Records) -> list[Tapped]:
    """What a term has compared in this step."""
    sides = (term.student, term.teacher)
    places = [(side.network_of(path), path) for side in sides for path in side.paths]
    return [Tapped(name, path, records[name][path]) for name, path in places]


def mark_overwritten(terms: Iterable[Term], records: Records) -> bool:
    """Let terms copy what an in-place ReLU overwrites; whether there are such."""
    found = False
    for term in terms:
        places = [(side.network_of(p), p) for side in term.sides for p in side.paths]
        term.clone = term.clone or any(records[n].overwritten(p) for n, p in places)
        found = found or term.clone
    return found
