"""Who is who among the runs.

Runs that differ in nothing but the seed (and where they were written) are one group. A
group's role is found by its model: one that mmkd taught is *distilled*; a plain one is
the *teacher* or the *baseline* if its model is that of a distilled run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmkd.report.compare import METRICS, Comparison, Group
from mmkd.report.networks import (
    identity,
    network,
    same_network,
    teacher_file,
    teacher_network,
)
from mmkd.report.runs import Run


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
