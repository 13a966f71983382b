"""Time of a step, on a CPU or a GPU, and steps that take turns."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

Log = dict[str, Any]
Step = Callable[[Any], Any]
Row = dict[str, Any]


class Clock:
    """Marks in the course of a step, and the milliseconds between them.

    CUDA events on a GPU. On a CPU with one thread the processor's time for this
    process, which other programs disturb less than the time of day.

    Args:
        device: Where the step runs.
        several: Whether other processes take part in the step: then waiting counts.
    """

    def __init__(self, device: torch.device, several: bool = False) -> None:
        self.cuda = device.type == 'cuda'
        alone = torch.get_num_threads() == 1 and not several
        self.read = time.process_time if alone else time.perf_counter
        self.name = 'processor time' if alone else 'time of day'
        if self.cuda:
            self.name = 'CUDA events'
        self.marks: list[tuple[str, Any]] = []

    def mark(self, label: str) -> None:
        """From here on, time belongs to ``label``."""
        if self.cuda:
            now: Any = torch.cuda.Event(enable_timing=True)  # type: ignore
            now.record()
        else:
            now = self.read()
        self.marks.append((label, now))

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; the time that it takes belongs to ``label``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            outer = self.marks[-1][0] if self.marks else 'rest'
            self.mark(label)
            try:
                return function(*args, **kwargs)
            finally:
                self.mark(outer)

        return run

    def time(self, step: Step, data: Any = None) -> tuple[Any, dict[str, float]]:
        """Run a step; return what it returns and the milliseconds of each label."""
        self.marks = []
        if self.cuda:
            torch.cuda.synchronize()
        self.mark('rest')
        result = step(data)
        self.mark('')
        if self.cuda:
            torch.cuda.synchronize()
        spent: dict[str, float] = {}
        for (label, start), (_, end) in zip(self.marks, self.marks[1:]):
            passed = start.elapsed_time(end) if self.cuda else (end - start) * 1e3
            spent[label] = spent.get(label, 0.0) + passed
        return result, spent

    def turns(
        self,
        ways: Mapping[str, Step],
        length: Length,
        prepare: Callable[[int], Any] = lambda number: None,
        check: Callable[[int, dict[str, Any]], None] = lambda number, results: None,
    ) -> dict[str, list[float]]:
        """Milliseconds of steps that take turns, in one order after another.

        Args:
            ways: The steps.
            length: How often.
            prepare: Makes what a step is given in a turn; it is not timed.
            check: Looks at what the steps returned in a turn.
        """
        times: dict[str, list[float]] = {name: [] for name in ways}
        orders, start = _orders(list(ways)), time.monotonic()
        for number in range(length.warm + length.steps):
            if number == length.warm:
                start = time.monotonic()
            results = {}
            for name in orders[number % len(orders)]:
                results[name], spent = self.time(ways[name], prepare(number))
                if number >= length.warm:
                    times[name].append(sum(spent.values()))
            check(number, results)
            if number >= length.warm + length.steps // 5 and length.over(start):
                break
        return times


def _orders(names: list[str]) -> list[tuple[str, ...]]:
    """All orders of a few, or every one first."""
    if len(names) <= 4:
        return list(itertools.permutations(names))
    return [(*names[i:], *names[:i]) for i in range(len(names))]


class Length(NamedTuple):
    """How long something is measured.

    Args:
        steps: How often it is timed.
        warm: How often it runs before: libraries load and choose their algorithms.
        seconds: Stop after so long, but not before a fifth of the steps.
    """

    steps: int
    warm: int
    seconds: float | None = None

    def over(self, start: float) -> bool:
        """Whether it is time to stop."""
        return self.seconds is not None and time.monotonic() - start > self.seconds


def quartiles(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """First quartile, median and third of the ratios of pairs."""
    ratios = [one / other for one, other in zip(ones, others)]
    if len(ratios) == 1:
        return ratios * 3
    return statistics.quantiles(ratios, n=4, method='inclusive')
