"""Which curves a comparison has, and how they are called and coloured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmkd.report.compare import METRICS, Comparison, Group
from mmkd.report.drawing import BASELINE, COLOURS, TEACHER
from mmkd.report.lines import Curve
from mmkd.report.runs import Run
from mmkd.report.subjects import BEFORE
from mmkd.schedule import make_piece

SHARE = 'grad_share/'
Axis = tuple[str, Callable[[Run, Curve], Curve]]


def colours(comparison: Comparison) -> dict[str, str]:
    """A colour for every group: greys for what is compared with."""
    found = {'teacher': TEACHER, BEFORE: BASELINE}
    fixed = {'teacher': TEACHER, 'baseline': BASELINE}
    free = [g.label for g in comparison.groups if g.role not in fixed]
    for group in comparison.groups:
        found[group.label] = (
            fixed.get(group.role) or COLOURS[free.index(group.label) % len(COLOURS)]
        )
    return found


def scaled(metric: str, value: float) -> float:
    """A metric as it is usually written: COCO's AP from 0 to 100."""
    return value * METRICS.get(metric, ('', '', 1.0))[2]


def title_of(metric: str) -> tuple[str, str]:
    """A metric's name and unit."""
    name, unit, _ = METRICS.get(metric, (metric, '', 1.0))
    return name[0].upper() + name[1:], unit


def digits(metric: str) -> int:
    """Decimals that a metric is worth."""
    return 1 if metric in METRICS else 3


def axis(comparison: Comparison) -> Axis:
    """Epochs where every run counts them, else iterations."""
    runs = [run for group in comparison.groups for run in group.runs]
    if all(run.by_epoch and run.epoch_length for run in runs):
        return 'epoch', lambda run, curve: [
            (x / (run.epoch_length or 1), y) for x, y in curve
        ]
    return 'iteration', lambda run, curve: curve


def task_loss(run: Run) -> Curve:
    """The network's own loss, without what distillation adds."""
    found = []
    for entry in run.train:
        taught = set(weighted_terms(entry).values())
        own = [
            key
            for key in entry
            if 'loss' in key and key != 'loss' and key not in taught
        ]
        own = [key for key in own if not key.startswith('teacher_')]
        if own:
            found.append((entry['iter'], sum(entry[key] for key in own)))
        elif 'loss' in entry:  # a head that calls its own loss so
            found.append((entry['iter'], entry['loss']))
    return found


def weighted_terms(entry: Mapping[str, float]) -> dict[str, str]:
    """Term -> the key of its weighted value, told by ``raw_<term>`` beside it."""
    found = {}
    for raw in (key[4:] for key in entry if key.startswith('raw_')):
        for key in entry:
            if 'loss' in key and (key.replace('loss', '').strip('_.') or 'term') == raw:
                found[raw] = key
    return found


def weight_curve(run: Run, key: str) -> Curve:
    """A term's weight over training, from its config and schedule."""
    terms = run.config.model.get('terms') or {}
    name = next((n for n in sorted(terms, key=len)[::-1] if key.startswith(n)), None)
    if name is None:
        return []
    term = terms[name]
    base = float(term.get('weight', 1.0))
    for teacher, settings in (run.config.model.get('teachers') or {}).items():
        if key == f'{name}_{teacher}' or term.get('source') == teacher:
            base *= float(settings.get('weight', 1.0))
    schedule: Any = term.get('schedule') or ()
    pieces = [make_piece(p) for p in ([schedule] if 'kind' in schedule else schedule)]
    _, end, _ = run.progress
    length = run.epoch_length
    curve = []
    for entry in run.train:
        step, weight = int(entry['iter']) - 1, base
        for piece in pieces:
            if end is None or (run.by_epoch and not length):
                return []
            if piece.by == 'epoch':
                time, whole = (step // length, end) if length else (0, 1)
            else:
                time, whole = step, end * length if run.by_epoch and length else end
            weight *= piece.at(time, whole)
        curve.append((entry['iter'], weight))
    return curve


def gradient_shares(group: Group) -> dict[str, list[Curve]]:
    """Loss -> curve for each run that logged it, the task's first."""
    names: dict[str, None] = {'task': None}
    for run in group.runs:
        for entry in run.train:
            names.update({k[len(SHARE) :]: None for k in entry if k.startswith(SHARE)})
    curves: dict[str, list[Curve]] = {
        name: [run.series(SHARE + name) for run in group.runs] for name in names
    }
    return {name: found for name, found in curves.items() if any(found)}
