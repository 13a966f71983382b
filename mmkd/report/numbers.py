"""The headline's numbers, for the page and for ``report.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmkd.report.compare import Comparison, Group, Spread
from mmkd.report.curves import gradient_shares, scaled
from mmkd.report.measure import Cost
from mmkd.report.study import Study

Json = dict[str, Any]


def spread_json(value: Spread | None, factor: float = 1.0) -> Json | None:
    """A spread as JSON."""
    if value is None:
        return None
    sd = None if value.sd is None else value.sd * factor
    return dict(mean=value.mean * factor, sd=sd, runs=value.n)


def model_numbers(
    group: Group, comparison: Comparison, cost: Cost | None, machine: str
) -> Json:
    """All numbers of one group."""
    metrics = {}
    for metric in comparison.metrics:
        factor = scaled(metric, 1.0)
        metrics[metric] = dict(
            last=spread_json(group.last(metric), factor),
            best=spread_json(group.best(metric), factor),
            gap_closed=spread_json(comparison.gap_closed(group, metric))
            if group.role == 'distilled'
            else None,
        )
    shares = {}
    for name, curves in gradient_shares(group).items():
        values = [y for curve in curves for _, y in curve]
        shares[name] = sum(values) / len(values)
    return dict(
        label=group.label,
        role=group.role,
        metrics=metrics,
        cost=cost_json(cost, machine),
        training_seconds=spread_json(group.seconds),
        training_time_ratio=comparison.time_ratio(group),
        mean_gradient_share=shares,
        runs=[
            dict(
                work_dir=str(run.path),
                seed=run.seed,
                reached=run.progress[0],
                of=run.progress[1],
                unit=run.progress[2],
                finished=run.finished,
                metrics={
                    key: scaled(key, values[-1][1])
                    for key, values in run.metrics.items()
                },
                warnings=sum(run.warnings.values()),
                errors=run.errors,
                not_finite=[key for key, *_ in run.not_finite],
            )
            for run in group.runs
        ],
    )


def cost_json(cost: Cost | None, machine: str) -> Json | None:
    """A cost as JSON."""
    if cost is None:
        return None
    return dict(
        parameters=cost.parameters,
        macs=cost.macs,
        latency_seconds=cost.latency,
        latency_passes=cost.passes,
        latency_on=machine if cost.latency is not None else None,
    )


def all_numbers(
    comparison: Comparison,
    costs: Mapping[str, Cost],
    study: Study | None,
    machine: str,
) -> Json:
    """The report's twin for machines; what is not finite becomes null."""
    labels = {group.label for group in comparison.groups}
    models = [
        model_numbers(group, comparison, costs.get(group.label), machine)
        for group in comparison.groups
    ]
    models += [
        dict(label=name, role='teacher', metrics={}, cost=cost_json(cost, machine))
        for name, cost in costs.items()
        if name not in labels
    ]
    layers = {name: values for _, name, values in study.layers} if study else {}
    found: Json = _finite(
        dict(
            metric=comparison.metric,
            models=models,
            cka_with_teacher=layers,
            cka_images=study.counted if study else 0,
            classified_alike=study.outcomes if study else None,
        )
    )
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
