"""Every loss, forward and backward, beside the cheapest form of it that we found."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmkd.yardstick import cheapest
from mmkd.yardstick.clock import (
    Clock,
    Length,
    Row,
    forget,
    machine,
    peak_memory,
    quartiles,
)

CLOSE = 1e-5
OURS = 'mmkd'
Loss = Callable[[Any], Tensor]


class Case(NamedTuple):
    """One loss on one size of features.

    Args:
        name: What the table calls it.
        student: Shapes of the student's features.
        ours: Given them, mmkd's value.
        others: The cheap forms of it, likewise.
    """

    name: str
    student: list[tuple[int, ...]]
    ours: Loss
    others: Mapping[str, Loss]


def cases(side: int, device: torch.device) -> Iterator[Case]:
    """All losses on images of ``side`` x 2 ``side``, as in Cityscapes (512) and COCO.

    Args:
        side: Height of the images.
        device: Where the features are.
    """
    import mmkd.losses as ours
    from mmkd.targets import Targets

    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 2).to(device)

    def case(name: str, loss: Any, shape: tuple[int, ...], others: Any) -> Case:
        teacher = noise(*shape)
        forms = {key: lambda s, form=form: form(s[0], teacher) for key, form in others}
        return Case(name, [shape], lambda s: loss(s[0], teacher), forms)

    logits, maps = (2, 19, side, 2 * side), (2, 256, side // 5, side * 3 // 10)
    kls = cheapest.KL.items()
    cwd = {tau: [(k, cheapest.cwd(kl, tau)) for k, kl in kls] for tau in (1.0, 4.0)}
    yield case('CWD, logits', ours.CWD(4.0), logits, cwd[4.0])
    yield case('CWD, a level of an FPN', ours.CWD(1.0), maps, cwd[1.0])
    kd = [(k, cheapest.kd(kl, 4.0)) for k, kl in kls]
    yield case('KD, 1000 classes', ours.KD(4.0), (side, 1000), kd)
    labels = torch.randint(19, (2, side, 2 * side), generator=generator).to(device)
    labels[:, : side // 8] = 255
    targets = Targets(seg_maps=list(labels))
    pixels = case('KD, pixels', ours.KD(1.0), logits, ())
    teacher = noise(*logits)
    yield pixels._replace(
        ours=lambda s: ours.KD(1.0)(s[0], teacher, targets),
        others={
            k: lambda s, kl=kl: cheapest.kd(kl, 1.0)(s[0], teacher, labels)
            for k, kl in kls
        },
    )
    anchors = (2, 720, side // 5, side * 3 // 10)
    sigmoid = [('together', cheapest.sigmoid_kd)]
    yield case('KD, sigmoid', ours.KD(1.0, 'sigmoid'), anchors, sigmoid)
    yield case('MSE, mean', ours.MSE(), maps, [('fused', cheapest.mse_mean)])
    yield case('MSE, batch', ours.MSE('batch'), maps, [('fused', cheapest.mse_batch)])
    attention = [
        ('squares', cheapest.attention_squares),
        ('lengths', cheapest.attention_norm),
    ]
    yield case('AT', ours.AT(), maps, attention)
    yield overhaul(maps, noise)
    yield from letkd(side, noise, device)


def overhaul(shape: tuple[int, ...], noise: Callable[..., Tensor]) -> Case:
    """OD on three levels."""
    from mmkd.losses import OFD

    shapes = [(*shape[:2], shape[2] // n, shape[3] // n) for n in (1, 2, 4)]
    teachers, loss = [noise(*each) for each in shapes], OFD()
    forms = {'where': lambda s: cheapest.overhaul(s, teachers)}
    return Case('OD, three levels', shapes, lambda s: loss(s, teachers), forms)


def letkd(
    side: int, noise: Callable[..., Tensor], device: torch.device
) -> Iterator[Case]:
    """Both layers on 64 maps of 7 x 7 (at 512), with 8 ``side`` templates."""
    from mmkd.losses import LetKDIntermediate, LetKDPenultimate
    from mmkd.targets import Targets

    shape = (max(2, side // 8), 8 * side, 7, 7)
    teacher = noise(shape[0], 512, 7, 7) / 16
    words = LetKDPenultimate('random')
    words.build([noise(*shape)], [teacher])
    centers = words.centers.div_(8)  # distances of a size that does not round
    yield Case(
        'letKD, penultimate',
        [shape],
        lambda s: words(s[0], teacher),
        {
            'rows': lambda s: cheapest.words(s[0], teacher, centers),
            'maps': lambda s: cheapest.words_in_place(s[0], teacher, centers),
        },
    )
    kinds = LetKDIntermediate('random')
    kinds.build([noise(*shape)], [teacher])
    labels = torch.arange(len(teacher), device=device) % side
    book = {name: getattr(kinds, name) for name in kinds.names}
    yield Case(
        'letKD, intermediate',
        [shape],
        lambda s: kinds(s[0], teacher, Targets(labels=labels)),
        {'rows': lambda s: cheapest.subclasses(s[0], teacher, labels, book)},
    )


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
