"""A step of mmkd beside one written by hand and one of the student alone."""

from __future__ import annotations

import copy
import statistics
from typing import Any, NamedTuple

import torch

from mmkd.yardstick import pairs
from mmkd.yardstick.clock import (
    Clock,
    Length,
    Log,
    Row,
    forget,
    machine,
    peak_memory,
    quartiles,
)

PARTS = ('student', 'teacher', 'terms', 'backward', 'rest')
TOLERANCE = 1e-4


class Setting(NamedTuple):
    """What is measured how long.

    Args:
        device: Where.
        length: How often.
        size: Height and width of the images.
        batch: Number of images.
        terms: How often the method's first term is there.
    """

    device: torch.device
    length: Length
    size: int
    batch: int
    terms: int = 1


def measure(
    pair: pairs.Pair, method: str, setting: Setting, several: bool = False
) -> Row:
    """Let the ways take turns; return what the table shows.

    Args:
        pair: Which models.
        method: Which method.
        setting: How, and how long.
        several: Whether all processes of a group take part, each with its own images.
    """
    forget()
    device = setting.device
    ways = pairs.build(pair, method, setting.terms, device, several)
    data = pairs.make_batch(pair, ways.distiller, setting.size, setting.batch)
    clock = Clock(device, several)
    found: dict[str, float] = {}

    def prepare(number: int) -> dict[str, Any]:
        torch.manual_seed(number)  # dropout and the sampling of regions
        if several:
            torch.distributed.barrier()
        return copy.deepcopy(data)

    def check(number: int, logs: dict[str, Log]) -> None:
        if number == 0 and 'hand' in logs:
            found['apart'] = disagreement(logs)
        if number < setting.length.warm:
            return
        for name, log in logs.items():
            if not torch.isfinite(log['loss']):
                raise RuntimeError(f'{pair.name}, {method}: the loss of {name} is gone')

    totals = clock.turns(ways.steps, setting.length, prepare, check)
    memory = {
        name: None if several else peak_memory(step, prepare(0), device)
        for name, step in ways.steps.items()
    }
    watch(clock, ways)
    parts = []
    for number in range(max(3, len(totals['mmkd']) // 4)):
        parts.append(clock.time(ways.steps['mmkd'], prepare(number))[1])
    pairs_of = (('hand', 'plain'), ('mmkd', 'plain'), ('mmkd', 'hand'))
    return dict(
        pair=pair.name,
        method=method,
        terms=setting.terms,
        size=setting.size,
        batch=setting.batch,
        steps=len(totals['mmkd']),
        warm=setting.length.warm,
        ms={name: statistics.median(values) for name, values in totals.items()},
        ratios={
            f'{one}/{other}': quartiles(totals[one], totals[other])
            for one, other in pairs_of
            if one in totals and other in totals
        },
        parts={p: statistics.median(t.get(p, 0.0) for t in parts) for p in PARTS},
        memory=memory,
        disagreement=found.get('apart'),
        clock=clock.name,
        **machine(device),
    )


def watch(clock: Clock, ways: pairs.Ways) -> None:
    """Say which part of mmkd's step is whose."""
    distiller = ways.distiller
    distiller.student.forward = clock.timed('student', distiller.student.forward)
    distiller.teach = clock.timed('teacher', distiller.teach)
    for term in distiller.terms.values():
        term.forward = clock.timed('terms', term.forward)
    ways.optimizer.backward = clock.timed('backward', ways.optimizer.backward)


def disagreement(logs: dict[str, Log]) -> float:
    """How far the losses by hand are from mmkd's; raises beyond the tolerance."""
    worst = 0.0
    for key in ('loss', 'term'):
        hand, ours = float(logs['hand'][key]), float(logs['mmkd'][key])
        apart = abs(hand - ours) / max(abs(ours), 1e-12)
        if not apart <= TOLERANCE:
            raise RuntimeError(
                f'The two loops do not compute the same: by hand the {key} is {hand}, '
                f'in mmkd {ours}. One of yardstick/by_hand.py and the method changed.'
            )
        worst = max(worst, apart)
    return worst
