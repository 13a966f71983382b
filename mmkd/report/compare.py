"""Who is who among the runs, and the numbers that compare them.

Runs that differ in nothing but the seed (and where they were written) are one group. A
group's role is found by its model: one that mmkd taught is *distilled*; a plain one is
the *teacher* or the *baseline* if its model is that of a distilled run.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmkd.report.networks import (
    identity,
    network,
    same_network,
    teacher_file,
    teacher_network,
)
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


def compare(
    runs: Sequence[Run],
    teacher: str | None = None,
    baseline: str | None = None,
    metric: str | None = None,
) -> Comparison:
    """Group the runs, find roles and metrics.

    Args:
        runs: What was read.
        teacher: Work dir of the teacher, if it shall not be found out.
        baseline: Work dir of the baseline, likewise.
        metric: The headline's metric, if it shall not be found out.
    """
    groups: dict[str, Group] = {}
    for run in runs:
        groups.setdefault(identity(run), Group([])).runs.append(run)
    found = list(groups.values())
    _assign(found)
    for role, path in (('teacher', teacher), ('baseline', baseline)):
        if path is not None:
            _force(found, role, path)
    order = ('teacher', 'baseline', 'distilled', 'other')
    found.sort(key=lambda group: order.index(group.role))
    _name(found)
    return Comparison(found, _choose(found, metric))


def _assign(groups: list[Group]) -> None:
    """Find the roles by comparing models."""
    distilled = [group for group in groups if group.runs[0].distils]
    for group in distilled:
        group.role = 'distilled'
    plains = [group for group in groups if group.role == 'other']
    files = [teacher_file(run) for group in distilled for run in group.runs]
    folders = {Path(f).expanduser().resolve().parent for f in files if f}
    for group in plains:
        if any(run.path.resolve() in folders for run in group.runs):
            group.role = 'teacher'  # the very file that taught
    first = distilled[0].runs[0] if distilled else None
    if first is None:
        return
    for role, model in (
        ('baseline', network(first)),
        ('teacher', teacher_network(first)),
    ):
        fits = [
            g for g in plains if g.role == 'other' and same_network(g.model(), model)
        ]
        if fits and not any(group.role == role for group in groups):
            fits[0].role = role


def _force(groups: list[Group], role: str, path: str) -> None:
    """Give a role to the group of a work dir."""
    wanted = Path(path).expanduser().resolve()
    for group in groups:
        if any(
            wanted in (r.path.resolve(), *r.path.resolve().parents) for r in group.runs
        ):
            for other in groups:
                if other.role == role:
                    other.role = 'other'
            group.role = role
            return
    raise ValueError(f"--{role} '{path}' is none of the runs that were given.")


def _name(groups: list[Group]) -> None:
    """Give every group a name of its own."""
    taken: set[str] = set()
    for group in groups:
        names = {run.path.name for run in group.runs}
        stem = names.pop() if len(names) == 1 else _common(sorted(names))
        short = stem or _method(group)
        label = short
        if label in taken:  # the folder above tells them apart
            label = f'{group.runs[0].path.parent.name}/{short}'
        number = 2
        while label in taken:
            label, number = f'{short} ({number})', number + 1
        taken.add(label)
        group.label = label


def _common(names: list[str]) -> str:
    """What names share, without a trailing 'seed' and punctuation."""
    first, last = names[0], names[-1]
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first)
    )
    return re.sub(r'[\W_]*(seed|s)?[\W_\d]*$', '', first[:length])


def _method(group: Group) -> str:
    if group.role != 'distilled':
        return group.role
    terms = group.config.model.get('terms') or {}
    return ' + '.join(re.sub(r'^loss_', '', name) for name in terms) or 'distilled'


def _choose(groups: list[Group], metric: str | None) -> list[str]:
    """The metrics to show, the headline's first."""
    keys: dict[str, int] = {}
    for group in groups:
        for run in group.runs:
            for key in run.metrics:
                keys[key] = keys.get(key, 0) + 1
    if metric is not None and metric not in keys:
        raise ValueError(
            f"--metric '{metric}' was never logged. There are: {sorted(keys) or 'none'}"
        )
    known = [key for key in METRICS if key in keys]
    known = known or sorted(keys, key=lambda key: -keys[key])[:1]
    return ([metric] if metric else []) + [key for key in known if key != metric]
