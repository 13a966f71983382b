"""Every loss, forward and backward, beside the cheapest form of it that we found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmkd.yardstick.cases import Case, Loss, cases
from mmkd.yardstick.clock import Clock, Length, Row, quartiles
from mmkd.yardstick.machine import forget, machine, peak_memory

CLOSE = 1e-5
OURS = 'mmkd'


def measure(
    words: Sequence[str], side: int, device: torch.device, length: Length
) -> Iterator[Row]:
    """A row for each loss whose name begins with one of the words; none means all."""
    found = False
    for case in cases(side, device):
        if not words or any(case.name.lower().startswith(w.lower()) for w in words):
            found = True
            yield compare(case, device, length)
        forget()
    if not found:
        names = ', '.join(case.name for case in cases(16, torch.device('cpu')))
        raise ValueError(f'--losses {" ".join(words)}: none of {names}')


def compare(case: Case, device: torch.device, length: Length) -> Row:
    """Let the forms of a loss take turns."""
    generator = torch.Generator().manual_seed(0)
    students = [
        (torch.randn(shape, generator=generator) * 2).to(device).requires_grad_()
        for shape in case.student
    ]
    forms = {OURS: case.ours, **case.others}
    apart = {name: difference(case, form, students) for name, form in forms.items()}
    worst = max(apart, key=lambda name: apart[name])
    if not apart[worst] <= CLOSE:
        raise RuntimeError(
            f"{case.name}: '{worst}' and mmkd do not compute the same, they are "
            f'{apart[worst]:.1e} apart.'
        )
    steps = {name: partial(step, form, students) for name, form in forms.items()}
    clock = Clock(device)
    times = clock.turns(steps, length)
    memory = {name: peak_memory(s, None, device) for name, s in steps.items()}
    ms = {name: statistics.median(values) for name, values in times.items()}
    fastest = min(case.others, key=lambda name: ms[name])
    return dict(
        loss=case.name,
        shape=[list(shape) for shape in case.student],
        steps=len(times[OURS]),
        ms=ms,
        fastest=fastest,
        ratio=quartiles(times[OURS], times[fastest]),
        memory=memory,
        disagreement=apart[worst],
        clock=clock.name,
        **machine(device),
    )


def step(form: Loss, students: list[Tensor], _: Any = None) -> list[Tensor]:
    """The gradients."""
    return list(torch.autograd.grad(form(students), students))


def difference(case: Case, form: Loss, students: list[Tensor]) -> float:
    """How far a form is from mmkd's, in its value and in its gradients."""
    values = [loss(students).detach() for loss in (case.ours, form)]
    worst = float((values[1] - values[0]).abs() / values[0].abs().clamp(min=1e-12))
    for one, other in zip(step(case.ours, students), step(form, students)):
        far = float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))
        worst = max(worst, far)
    return worst
