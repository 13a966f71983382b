"""The same step in mmrazor 1.0.0, where that is installed; nothing here depends on it.

What mmrazor searches, prunes and quantizes with does not import beside torch 2.1 or
2.5, and distillation does not use it: empty modules stand in for it.
"""

from __future__ import annotations

import copy
import importlib.abc
import importlib.machinery
import importlib.util
import statistics
import sys
import types
from typing import Any

import torch

from mmkd.yardstick import pairs
from mmkd.yardstick.clock import (
    Clock,
    Log,
    Row,
    forget,
    machine,
    peak_memory,
    quartiles,
)
from mmkd.yardstick.steps import TOLERANCE, Setting

# Which methods it has for which task, and where.
TAPS = {
    ('cls', 'kd'): 'head.fc',
    ('two_stage', 'cwd'): 'neck',
    ('seg', 'cwd'): 'decode_head.conv_seg',
}
LOSSES = {'kd': 'KLDivergence', 'cwd': 'ChannelWiseDivergence'}
UNUSED = (
    *('engine', 'implementations', 'structures.quantization', 'models.fake_quants'),
    *('models.mutables', 'models.mutators', 'models.observers', 'models.quantizers'),
    *('models.algorithms.nas', 'models.algorithms.pruning'),
    *('models.algorithms.quantization', 'models.task_modules.tracer'),
    *('models.architectures.backbones', 'models.architectures.classifiers'),
    *('models.architectures.dynamic_ops', 'models.architectures.generators'),
    *('models.architectures.heads', 'models.architectures.necks'),
    *('models.architectures.ops', 'models.architectures.utils'),
)


class Absent(types.ModuleType):
    """A module that has any class one asks it for."""

    __all__: list[str] = []
    __path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds :class:`Absent` where something unused is imported."""

    def find_spec(
        self, name: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """One for each of the unused."""
        if not name.startswith(tuple(f'mmrazor.{unused}' for unused in UNUSED)):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Absent:
        """An empty one."""
        return Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is in it."""


def measure(pair: pairs.Pair, method: str, setting: Setting) -> Row:
    """Let mmrazor, mmkd and the loop by hand take turns; all three losses agree."""
    check(pair.kind, method)
    forget()
    device = setting.device
    ways = pairs.build(pair, method, 1, device)
    teacher_student = (ways.distiller.student, ways.distiller.teacher)
    term = next(iter(ways.distiller.terms.values()))
    with pairs.quiet():
        model = write(pair.kind, method, copy.deepcopy(teacher_student), term)
    optimizer = pairs.keep_total(pairs.sgd(model.student.parameters()))

    def razor_step(data: dict[str, Any]) -> Log:
        model.train_step(data, optimizer)
        return {'loss': optimizer.total}

    data = pairs.make_batch(pair, ways.distiller, setting.size, setting.batch)

    def prepare(number: int) -> dict[str, Any]:
        torch.manual_seed(number)  # dropout and the sampling of regions
        return copy.deepcopy(data)

    def agree(number: int, logs: dict[str, Log]) -> None:
        one, other = (float(logs[name]['loss']) for name in ('mmrazor', 'hand'))
        if number == 0 and not abs(one - other) <= TOLERANCE * abs(other):
            raise RuntimeError(f'In mmrazor the loss is {one}, by hand {other}.')

    steps = {name: ways.steps[name] for name in ('hand', 'mmkd')}
    steps['mmrazor'] = razor_step
    clock = Clock(device)
    times = clock.turns(steps, setting.length, prepare, agree)
    return dict(
        pair=pair.name,
        method=method,
        size=setting.size,
        batch=setting.batch,
        steps=len(times['hand']),
        ms={name: statistics.median(own) for name, own in times.items()},
        ratios={
            f'{name}/hand': quartiles(times[name], times['hand'])
            for name in ('mmkd', 'mmrazor')
        },
        memory={
            name: peak_memory(step, prepare(0), device) for name, step in steps.items()
        },
        clock=clock.name,
        **machine(device),
    )


def check(kind: str, method: str) -> None:
    """Raise if it is not installed, or has no such method."""
    if importlib.util.find_spec('mmrazor') is None:
        raise ValueError(
            'mmrazor is not installed. To be measured it may lie in any folder: '
            'pip install --no-deps --target FOLDER mmrazor==1.0.0, then '
            'PYTHONPATH=FOLDER python tools/benchmark.py --mmrazor'
        )
    if (kind, method) not in TAPS:
        those = ', '.join(f'{method} ({kind})' for kind, method in TAPS)
        raise ValueError(f'--mmrazor: no {method} for {kind} models, but {those}')


def write(kind: str, method: str, models: tuple[Any, Any], term: Any) -> Any:
    """Its algorithm for a student and a teacher.

    A detector's teacher runs as far as its neck, as in mmrazor's config of this pair.

    Args:
        kind: Of the task.
        method: 'kd' or 'cwd'.
        models: Student and teacher, built.
        term: mmkd's, for its weight and its temperature.
    """
    if not any(isinstance(finder, StandIns) for finder in sys.meta_path):
        sys.meta_path.insert(0, StandIns())
    import mmrazor.models  # noqa: F401
    from mmrazor.registry import MODELS

    tap = TAPS[kind, method]
    levels = range(models[0].neck.num_outs) if kind == 'two_stage' else [None]
    sides = (('preds_S', True), ('preds_T', False))
    loss = dict(type=LOSSES[method], tau=term.loss.tau, loss_weight=term.weight)
    model = MODELS.build(
        dict(
            type='FpnTeacherDistill' if tap == 'neck' else 'SingleTeacherDistill',
            architecture=models[0],
            teacher=models[1],
            distiller=dict(
                type='ConfigurableDistiller',
                student_recorders=dict(tap=dict(type='ModuleOutputs', source=tap)),
                teacher_recorders=dict(tap=dict(type='ModuleOutputs', source=tap)),
                distill_losses={f'loss_{level}': loss for level in levels},
                loss_forward_mappings={
                    f'loss_{level}': {
                        side: dict(recorder='tap', from_student=own, data_idx=level)
                        for side, own in sides
                    }
                    for level in levels
                },
            ),
        )
    )
    model.train()
    model.teacher.eval()  # its dropout is left on otherwise
    return model
