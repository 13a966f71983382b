"""What a teacher's forward costs by hand, in mmkd, and with its ``teacher_options``."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from mmkd.yardstick.batches import make_batch
from mmkd.yardstick.clock import Clock, Row, quartiles
from mmkd.yardstick.machine import forget, machine
from mmkd.yardstick.pairs import Pair, distiller_config
from mmkd.yardstick.steps import Setting
from mmkd.yardstick.ways import build_distiller, quiet, write_by_hand

OPTIONS: dict[str, dict[str, Any]] = {
    'none': {},
    'fold_bn': dict(fold_bn=True),
    'channels_last': dict(channels_last=True),
    'bfloat16': dict(dtype='bfloat16'),
    'compile': dict(compile=True),
    'fold_bn+channels_last': dict(fold_bn=True, channels_last=True),
    'fold_bn+channels_last+bfloat16': dict(
        fold_bn=True, channels_last=True, dtype='bfloat16'
    ),
    'all': dict(fold_bn=True, channels_last=True, dtype='bfloat16', compile=True),
}
METHODS = {'cls': 'kd', 'two_stage': 'cwd', 'seg': 'kd'}


def choose(words: Sequence[str]) -> list[str]:
    """The options that are meant; nothing means all."""
    for word in words:
        if word not in OPTIONS:
            raise ValueError(f'--teacher {word}: it is none of {", ".join(OPTIONS)}')
    return ['none', *(w for w in words or OPTIONS if w != 'none')]


def measure(pair: Pair, setting: Setting, options: Sequence[str]) -> Row:
    """Let the teachers take turns on the same images.

    Each is tapped for one method: the logits, or in detection the neck, which does not
    depend on the student's regions.
    """
    forget()
    device, method = setting.device, METHODS[pair.kind]
    plain, term = build_distiller(pair, method, 1, device)
    batch = make_batch(pair, plain, setting.size, setting.batch)
    loop = write_by_hand(pair, method, 1, plain, term)
    ways: dict[str, Callable[[Any], Any]] = {'hand': loop.ask_teacher}
    values: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name in options:
        try:
            distiller = cheapened(pair, method, plain, OPTIONS[name])
            values[name] = value_of(distiller, batch)
            ways[name] = teaching(distiller)
        except Exception as error:  # a compiler that is not there, an operator
            failed[name] = f'{type(error).__name__}: {str(error).splitlines()[0]}'
    inputs = plain.data_preprocessor(copy.deepcopy(batch), True)['inputs']
    clock = Clock(device)
    times = clock.turns(ways, setting.length, lambda number: inputs)
    return dict(
        pair=pair.name,
        method=method,
        options=list(options),
        size=setting.size,
        batch=setting.batch,
        steps=len(times['hand']),
        ms={name: statistics.median(own) for name, own in times.items()},
        ratios={name: quartiles(times['hand'], own) for name, own in times.items()},
        change={
            name: abs(value - values['none']) / max(abs(values['none']), 1e-12)
            for name, value in values.items()
        },
        failed=failed,
        clock=clock.name,
        **machine(device),
    )


def cheapened(pair: Pair, method: str, plain: Any, options: dict[str, Any]) -> Any:
    """The distiller with copies of another one's models, and these options."""
    from mmkd.registry import MODELS

    config = distiller_config(pair, method)
    del config['teacher_ckpt']
    config.update(
        student=copy.deepcopy(plain.student).cpu(),  # as models are built
        teacher=copy.deepcopy(plain.teacher).cpu(),
        teacher_options=options,
    )
    with quiet():
        distiller = MODELS.build(config)
    for own, other in zip(distiller.terms.parameters(), plain.terms.parameters()):
        own.data = other.data.clone()
    return distiller.to(next(plain.parameters()).device).train()


def value_of(distiller: Any, batch: Any) -> float:
    """What the method's term is on a batch."""
    torch.manual_seed(0)
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    with torch.no_grad():
        losses = distiller.loss(**data)
    return float(sum(losses[term.raw_name] for term in distiller.terms.values()))


def teaching(distiller: Any) -> Callable[[Any], Any]:
    """The teacher's part of a step."""
    terms = list(distiller.terms.values())

    def teach(inputs: torch.Tensor) -> Any:
        return distiller.teach(inputs, None, terms)

    return teach
