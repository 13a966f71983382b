"""Groups of runs of the same thing, and the numbers that compare them."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmkd.report.networks import network
from mmkd.report.runs import Run

# Metric -> what it is called, its unit, and the factor that brings it to 0…100.
METRICS: dict[str, tuple[str, str, float]] = {
    'accuracy/top1': ('top-1 accuracy', '%', 1),
    'single-label/f1-score': ('F1 score', '%', 1),
    'multi-label/mAP': ('mAP', '%', 1),
    'coco/bbox_mAP': ('box AP', '', 100),
    'coco/segm_mAP': ('mask AP', '', 100),
    'pascal_voc/mAP': ('mAP', '', 100),
    'mIoU': ('mean IoU', '%', 1),
}


class Spread(NamedTuple):
    """A mean over runs, and their standard deviation; None of a single run."""

    mean: float
    sd: float | None
    n: int


@dataclass
class Group:
    """Runs of the same thing."""

    runs: list[Run]
    role: str = 'other'
    label: str = ''

    @property
    def config(self) -> Any:
        """The config of its first run."""
        return self.runs[0].config

    def last(self, metric: str) -> Spread | None:
        """The value of the last validation."""
        return spread(
            r.metrics[metric][-1][1] for r in self.runs if metric in r.metrics
        )

    def best(self, metric: str) -> Spread | None:
        """The best value of all validations."""
        best = max if higher_is_better(metric) else min
        values = (
            [v for _, v in r.metrics[metric] if v == v]
            for r in self.runs
            if metric in r.metrics
        )
        return spread(best(v) for v in values if v)

    @property
    def seconds(self) -> Spread | None:
        """Time in training iterations, of the runs that came to their end."""
        times = (run.seconds for run in self.runs if run.finished)
        return spread(t for t in times if t is not None)

    def model(self) -> dict[str, Any]:
        """The config of the network that is left after training."""
        return network(self.runs[0])


@dataclass
class Comparison:
    """All groups, in the order in which they are shown."""

    groups: list[Group]
    metrics: list[str]
    notes: list[str] = field(default_factory=list)

    def of(self, role: str) -> list[Group]:
        """The groups with a role."""
        return [group for group in self.groups if group.role == role]

    def one(self, role: str) -> Group | None:
        """The first group with a role."""
        return next(iter(self.of(role)), None)

    @property
    def metric(self) -> str | None:
        """The metric of the headline."""
        return self.metrics[0] if self.metrics else None

    def gap_closed(self, group: Group, metric: str) -> Spread | None:
        """Share of the way from the baseline's mean to the teacher's, run by run."""
        teacher, baseline = self.one('teacher'), self.one('baseline')
        top = teacher.last(metric) if teacher else None
        low = baseline.last(metric) if baseline else None
        if top is None or low is None:
            return None
        gap = top.mean - low.mean
        if gap == 0 or (gap > 0) != higher_is_better(metric):
            return None  # no teacher to catch up with
        values = (r.metrics[metric][-1][1] for r in group.runs if metric in r.metrics)
        return spread((value - low.mean) / gap for value in values)

    def time_ratio(self, group: Group) -> float | None:
        """Training time, as a multiple of the baseline's."""
        baseline = self.one('baseline')
        own, other = group.seconds, baseline.seconds if baseline else None
        return own.mean / other.mean if own and other and other.mean else None


def spread(values: Iterable[float]) -> Spread | None:
    """Mean and standard deviation (n - 1); None of nothing."""
    known = list(values)
    if not known:
        return None
    if not all(map(math.isfinite, known)):
        return Spread(math.nan, None, len(known))
    sd = statistics.stdev(known) if len(known) > 1 else None
    return Spread(statistics.fmean(known), sd, len(known))


def higher_is_better(metric: str) -> bool:
    """Whether more is better; errors and losses are told by their names."""
    return not re.search(r'loss|error|mae$|rmse|nme|epe', metric.lower())
