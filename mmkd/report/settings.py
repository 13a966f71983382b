"""What was set: the difference between two configs, and what the run met on its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmkd.mixin import is_distillation, plain
from mmkd.report.compare import Comparison, Group
from mmkd.report.runs import Run

# Versions and devices that are worth a line.
SHOWN: tuple[str, ...] = (
    'Python',
    'CUDA available',
    'PyTorch',
    'TorchVision',
    'OpenCV',
    'MMEngine',
)
SHOWN += ('Distributed launcher', 'GPU number')
_OF_A_RUN = ('work_dir', 'resume', 'load_from', 'launcher', 'experiment_name')
# Of no meaning to a Runner: what the distiller was put together from.
_LEFT_OVER = ('custom_imports', 'randomness', 'terms', 'distiller', 'student')
Difference = tuple[str, str, str]


def flat(value: Any, prefix: str = '') -> dict[str, str]:
    """Nested settings as one level: 'terms.loss_kd.weight' -> '1.0'."""
    if isinstance(value, Mapping) and value:
        found: dict[str, str] = {}
        for key, item in value.items():
            found.update(flat(item, f'{prefix}.{key}' if prefix else str(key)))
        return found
    if isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
        return flat({str(i): item for i, item in enumerate(value)}, prefix)
    if isinstance(value, tuple):
        value = list(value)
    return {prefix: repr(value)}


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """(key, in one, in the other) of all settings that differ; '' is not set."""
    first, second = flat(one), flat(other)
    keys = dict.fromkeys([*first, *second])
    return [
        (key, first.get(key, ''), second.get(key, ''))
        for key in keys
        if first.get(key) != second.get(key)
    ]


def added(run: Run) -> list[tuple[str, str]]:
    """What makes a run a distillation: the distiller without its networks."""
    if not is_distillation(run.config):
        return []
    model = run.config.model.to_dict()
    model.pop('student', None)
    teacher = model.get('teacher')
    if isinstance(teacher, Mapping):
        model['teacher'] = network_name(teacher)
    for settings in (model.get('teachers') or {}).values():
        if isinstance(settings.get('model'), Mapping):
            settings['model'] = network_name(settings['model'])
    hooks = [str(hook.get('type')) for hook in run.config.get('custom_hooks') or []]
    ours = [name for name in hooks if name.startswith('mmkd.')]
    rows = [(f'model.{key}', value) for key, value in flat(model).items()]
    return [*rows, ('custom_hooks', ', '.join(ours))] if ours else rows


def recipe(comparison: Comparison, group: Group) -> list[Difference]:
    """How a group's recipe and network differ from the baseline's, distiller aside."""
    base = comparison.one('baseline')
    if base is None or base is group:
        return []
    sides = []
    for config in (base.config, group.config):
        settings = plain(config).to_dict()
        hooks = settings.get('custom_hooks') or []
        if not hooks:
            settings.pop('custom_hooks', None)
        for key in (*_OF_A_RUN, *_LEFT_OVER):
            settings.pop(key, None)
        model = settings.get('model') or {}
        model.pop('data_preprocessor', None)
        model.pop('_scope_', None)
        sides.append(settings)
    return difference(*sides)


def network_name(model: Mapping[str, Any]) -> str:
    """A network in a few words: 'ImageClassifier, ResNet 18'."""
    name = str(model.get('of') or model.get('type', 'model')).rpartition('.')[2]
    backbone = model.get('backbone') or {}
    kind = str(backbone.get('type', '')).rpartition('.')[2]
    depth = backbone.get('depth') or backbone.get('arch') or ''
    size = f' {depth}' if isinstance(depth, (int, str)) and depth else ''
    return f'{name}, {kind}{size}' if kind else name


def environments(comparison: Comparison) -> list[tuple[str, str]]:
    """Versions and devices; where runs differ, all that there were."""
    found: dict[str, dict[str, None]] = {}
    for group in comparison.groups:
        for run in group.runs:
            known = run.environment
            gpus = [
                key for key in known if key.startswith('GPU ') and key[4:5].isdigit()
            ]
            for key in (*SHOWN, *gpus):
                if key in known:
                    found.setdefault(key, {})[known[key]] = None
    return [(key, ' / '.join(values)) for key, values in found.items()]


def warnings(comparison: Comparison) -> list[tuple[str, int, int]]:
    """(warning, how often, in how many runs), the most frequent first."""
    counts: dict[str, list[int]] = {}
    for group in comparison.groups:
        for run in group.runs:
            for text, number in run.warnings.items():
                entry = counts.setdefault(text, [0, 0])
                entry[0] += number
                entry[1] += 1
    rows = [(text, n, runs) for text, (n, runs) in counts.items()]
    return sorted(rows, key=lambda row: -row[1])


def troubles(comparison: Comparison) -> list[str]:
    """Runs that did not finish, numbers that were none, errors, odd files."""
    found = []
    for group in comparison.groups:
        for run in group.runs:
            reached, end, unit = run.progress
            if not run.finished:
                found.append(f'{run.name}: stopped at {unit} {reached:,} of {end:,}.')
            found += [f'{run.name}: ended with {error}' for error in run.errors[-1:]]
            found += [
                f'{run.name}: {key} was not finite {times:,} times, first at '
                f'iteration {first:,}.'
                for key, times, first in run.not_finite
            ]
            found += [f'{run.name}: {note}.' for note in run.notes]
    return found
