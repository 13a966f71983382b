"""What a recording was made from: fingerprints, and where they differ."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from torch import nn

from mmkd.datasets.views import ReplayedViews
from mmkd.fingerprint import data_fingerprint, describe, teacher_fingerprint
from mmkd.recording.arrays import Meta
from mmkd.teacher.renormalize import statistics


def of_teacher(model: nn.Module, renormalize: nn.Module, student: nn.Module) -> Meta:
    """What the teacher's answers depend on: weights, network, colours that it sees."""
    lines = repr(model).splitlines()
    network = '\n'.join(line for line in lines if 'init_cfg=' not in line)
    return {
        'teacher weights': teacher_fingerprint(model),
        'teacher network': hashlib.sha256(network.encode()).hexdigest(),
        'normalisation': f'{statistics(student.data_preprocessor)}, {renormalize}',
    }


def of_data(dataset: ReplayedViews) -> Meta:
    """What the views depend on."""
    return {
        'data': describe(data_fingerprint(dataset)),
        'pipeline': dataset.pipeline_text,
        'views': dataset.views,
        'view seed': dataset.seed,
    }


def differences(recorded: Meta, now: Meta) -> list[str]:
    """One line for each thing that is not as it was; what only one side has is left."""
    lines = []
    for key in [key for key in now if key in recorded]:
        old, new = recorded[key], now[key]
        if old == new:
            continue
        if isinstance(old, list):
            steps = [f'- {step}' for step in old if step not in new]
            steps += [f'+ {step}' for step in new if step not in old]
            old_new = '; '.join(steps) or 'another order'
        else:
            old_new = f'{_short(old)}, now {_short(new)}'
        lines.append(f'{key}: {old_new}')
    return lines


def _short(value: Any) -> str:
    return str(value)[:8] if re.fullmatch('[0-9a-f]{64}', str(value)) else str(value)
