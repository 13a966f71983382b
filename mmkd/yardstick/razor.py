"""The same step in mmrazor 1.0.0, where that is installed; nothing here depends on it.

What of it does not import is replaced, see :mod:`mmkd.yardstick.stand_ins`.
"""

from __future__ import annotations

import copy
import importlib.util
import statistics
import sys
from functools import partial
from typing import Any

from mmkd.yardstick.batches import make_batch
from mmkd.yardstick.clock import Clock, Log, Row, Step, quartiles
from mmkd.yardstick.machine import forget, machine, peak_memory
from mmkd.yardstick.pairs import Pair
from mmkd.yardstick.stand_ins import StandIns
from mmkd.yardstick.steps import TOLERANCE, Setting, fresh
from mmkd.yardstick.ways import Ways, build, keep_total, quiet, sgd

# Which methods it has for which task, and where.
TAPS = {
    ('cls', 'kd'): 'head.fc',
    ('two_stage', 'cwd'): 'neck',
    ('seg', 'cwd'): 'decode_head.conv_seg',
}
LOSSES = {'kd': 'KLDivergence', 'cwd': 'ChannelWiseDivergence'}


def measure(pair: Pair, method: str, setting: Setting) -> Row:
    """Let mmrazor, mmkd and the loop by hand take turns; all three losses agree."""
    check(pair.kind, method)
    forget()
    device = setting.device
    ways = build(pair, method, 1, device)
    steps = {name: ways.steps[name] for name in ('hand', 'mmkd')}
    steps['mmrazor'] = razor_step(pair, method, ways)
    data = make_batch(pair, ways.distiller, setting.size, setting.batch)
    prepare = partial(fresh, data)
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


def razor_step(pair: Pair, method: str, ways: Ways) -> Step:
    """A step of mmrazor, with copies of the models of mmkd's distiller."""
    models = copy.deepcopy((ways.distiller.student, ways.distiller.teacher))
    term = next(iter(ways.distiller.terms.values()))
    with quiet():
        model = write(pair.kind, method, models, term)
    optimizer = keep_total(sgd(model.student.parameters()))

    def step(data: dict[str, Any]) -> Log:
        model.train_step(data, optimizer)
        return {'loss': optimizer.total}

    return step


def agree(number: int, logs: dict[str, Log]) -> None:
    """Raise if the first losses differ."""
    one, other = (float(logs[name]['loss']) for name in ('mmrazor', 'hand'))
    if number == 0 and not abs(one - other) <= TOLERANCE * abs(other):
        raise RuntimeError(f'In mmrazor the loss is {one}, by hand {other}.')


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
