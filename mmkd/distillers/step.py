"""One step: which networks run, and what each of them is recorded doing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mmkd.finite import Tapped
from mmkd.recorder import Recorder
from mmkd.schedule import Weighted
from mmkd.side import STUDENT, Records
from mmkd.term import Term

Losses = dict[str, Tensor]
Step = TypeVar('Step', bound=Callable[..., Any])


def uncompiled(function: Step) -> Step:
    """Leave a function out of ``torch.compile``; what it calls is compiled."""
    disabled: Step = torch.compiler.disable(function, recursive=False)  # type: ignore
    return disabled


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

    def _ran(self) -> tuple[Losses, Recorder]:
        if self._losses is None:
            with self._recorder:
                self._losses = self._run()
        return self._losses, self._recorder

    @property
    def losses(self) -> Losses:
        """Its own losses."""
        return self._ran()[0]

    @property
    def record(self) -> Recorder:
        """What it did."""
        return self._ran()[1]


def watch(
    model: nn.Module,
    network: str,
    terms: Iterable[Term],
    more: Iterable[str] = (),
) -> Recorder:
    """A recorder of what terms read in a network.

    Args:
        model: The network.
        network: Its name in paths.
        terms: The terms.
        more: Further paths.
    """
    paths: list[str] = []
    cloned: list[str] = []
    for term in terms:
        own = term.reads(network)
        paths += own
        cloned += own if term.clone else []
    return Recorder(model, [*paths, *more], cloned)


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


def parts(
    own: Losses, extra: Losses, values: Losses, terms: Iterable[Term]
) -> dict[str, Losses]:
    """Who is responsible for which losses, for those who watch.

    Args:
        own: The student's.
        extra: Those of what teaches and learns.
        values: Of the terms, by their names.
        terms: All of them.
    """
    found = {'task': own, **({'teacher': extra} if extra else {})}
    for term in terms:
        short = term.raw_name.removeprefix('raw_')
        found[term.name if short in found else short] = {term.name: values[term.name]}
    return found


def tapped(term: Term, records: Records) -> list[Tapped]:
    """What a term has compared in this step."""
    return [
        Tapped(place.network, place.path, records[place.network][place.path])
        for side in (term.student, term.teacher)
        for place in side.places
    ]


def mark_overwritten(terms: Iterable[Term], records: Records) -> bool:
    """Let terms copy what an in-place ReLU overwrites; whether there are such."""
    found = False
    for term in terms:
        places = [place for side in term.sides for place in side.places]
        stale = (records[p.network].overwritten(p.path) for p in places)
        term.clone = term.clone or any(stale)
        found = found or term.clone
    return found
