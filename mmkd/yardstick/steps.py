"""A step of mmkd beside one written by hand and one of the student alone."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from mmkd.yardstick.batches import make_batch
from mmkd.yardstick.clock import Clock, Length, Log, Row, quartiles
from mmkd.yardstick.machine import forget, machine, peak_memory
from mmkd.yardstick.pairs import Pair
from mmkd.yardstick.ways import Ways, build

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


def measure(pair: Pair, method: str, setting: Setting, several: bool = False) -> Row:
    """Let the ways take turns; return what the table shows.

    Args:
        pair: Which models.
        method: Which method.
        setting: How, and how long.
        several: Whether all processes of a group take part, each with its own images.
    """
    forget()
    device = setting.device
    ways = build(pair, method, setting.terms, device, several)
    data = make_batch(pair, ways.distiller, setting.size, setting.batch)
    prepare = partial(fresh, data, several=several)
    clock = Clock(device, several)
    found: dict[str, float] = {}

    def check(number: int, logs: dict[str, Log]) -> None:
        if number == 0 and 'hand' in logs:
            found['apart'] = disagreement(logs)
        for name, log in logs.items() if number >= setting.length.warm else ():
            if not torch.isfinite(log['loss']):
                raise RuntimeError(f'{pair.name}, {method}: the loss of {name} is gone')

    totals = clock.turns(ways.steps, setting.length, prepare, check)
    memory = {
        name: None if several else peak_memory(step, prepare(0), device)
        for name, step in ways.steps.items()
    }
    return dict(
        pair=pair.name,
        method=method,
        terms=setting.terms,
        size=setting.size,
        batch=setting.batch,
        steps=len(totals['mmkd']),
        warm=setting.length.warm,
        ms={name: statistics.median(values) for name, values in totals.items()},
        ratios=ratios(totals),
        parts=parts(clock, ways, prepare, max(3, len(totals['mmkd']) // 4)),
        memory=memory,
        disagreement=found.get('apart'),
        clock=clock.name,
        **machine(device),
    )


def fresh(data: dict[str, Any], number: int, several: bool = False) -> dict[str, Any]:
    """A copy of the batch, and the same random numbers for all who get it."""
    torch.manual_seed(number)  # dropout and the sampling of regions
    if several:
        torch.distributed.barrier()
    return copy.deepcopy(data)


def ratios(totals: dict[str, list[float]]) -> dict[str, list[float]]:
    """Quartiles of each way beside each other one that is there."""
    pairs_of = (('hand', 'plain'), ('mmkd', 'plain'), ('mmkd', 'hand'))
    return {
        f'{one}/{other}': quartiles(totals[one], totals[other])
        for one, other in pairs_of
        if one in totals and other in totals
    }


def parts(
    clock: Clock, ways: Ways, prepare: Callable[[int], Any], times: int
) -> dict[str, float]:
    """Milliseconds of the parts of mmkd's step."""
    watch(clock, ways)
    found = [clock.time(ways.steps['mmkd'], prepare(i))[1] for i in range(times)]
    return {p: statistics.median(t.get(p, 0.0) for t in found) for p in PARTS}


def watch(clock: Clock, ways: Ways) -> None:
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
