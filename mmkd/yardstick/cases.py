"""Every loss on features of usual sizes, and the cheapest forms of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmkd.yardstick import cheapest

Loss = Callable[[Any], Tensor]
Noise = Callable[..., Tensor]


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

    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 2).to(device)

    case = partial(one_level, noise)
    logits, maps = (2, 19, side, 2 * side), (2, 256, side // 5, side * 3 // 10)
    kls = cheapest.KL.items()
    cwd = {tau: [(k, cheapest.cwd(kl, tau)) for k, kl in kls] for tau in (1.0, 4.0)}
    yield case('CWD, logits', ours.CWD(4.0), logits, cwd[4.0])
    yield case('CWD, a level of an FPN', ours.CWD(1.0), maps, cwd[1.0])
    kd = [(k, cheapest.kd(kl, 4.0)) for k, kl in kls]
    yield case('KD, 1000 classes', ours.KD(4.0), (side, 1000), kd)
    labels = torch.randint(19, logits[:1] + logits[2:], generator=generator).to(device)
    yield pixels(noise, logits, labels)
    anchors = (2, 720, side // 5, side * 3 // 10)
    sigmoid = [('together', cheapest.sigmoid_kd)]
    yield case('KD, sigmoid', ours.BinaryKD(1.0), anchors, sigmoid)
    yield case('MSE, mean', ours.MSE(), maps, [('fused', cheapest.mse_mean)])
    yield case('MSE, batch', ours.MSE('batch'), maps, [('fused', cheapest.mse_batch)])
    squares, lengths = cheapest.attention_squares, cheapest.attention_norm
    attention = [('squares', squares), ('lengths', lengths)]
    yield case('AT', ours.AT(), maps, attention)
    yield overhaul(maps, noise)
    yield from letkd(side, noise, device)


def one_level(
    noise: Noise, name: str, loss: Any, shape: tuple[int, ...], others: Any
) -> Case:
    """A loss of one feature, and other forms of it by name."""
    teacher = noise(*shape)
    forms = {key: partial(_of_one, form, teacher) for key, form in others}
    return Case(name, [shape], partial(_of_one, loss, teacher), forms)


def _of_one(form: Any, teacher: Tensor, students: Sequence[Tensor]) -> Tensor:
    value: Tensor = form(students[0], teacher)
    return value


def pixels(noise: Noise, shape: tuple[int, ...], labels: Tensor) -> Case:
    """KD of the pixels that have a label."""
    from mmkd.losses import KD
    from mmkd.targets import Targets

    labels[:, : labels.shape[1] // 8] = 255
    targets = Targets(seg_maps=list(labels))
    teacher = noise(*shape)

    def cheap(kl: Any, students: Sequence[Tensor]) -> Tensor:
        value: Tensor = cheapest.kd(kl, 1.0)(students[0], teacher, labels)
        return value

    forms = {name: partial(cheap, kl) for name, kl in cheapest.KL.items()}
    loss = KD(1.0)
    return Case('KD, pixels', [shape], lambda s: loss(s[0], teacher, targets), forms)


def overhaul(shape: tuple[int, ...], noise: Noise) -> Case:
    """OD on three levels."""
    from mmkd.losses import OFD

    shapes = [(*shape[:2], shape[2] // n, shape[3] // n) for n in (1, 2, 4)]
    teachers, loss = [noise(*each) for each in shapes], OFD()
    forms = {'where': lambda s: cheapest.overhaul(s, teachers)}
    return Case('OD, three levels', shapes, lambda s: loss(s, teachers), forms)


def letkd(side: int, noise: Noise, device: torch.device) -> Iterator[Case]:
    """Both layers on 64 maps of 7 x 7 (at 512), with 8 ``side`` templates."""
    from mmkd.loss import Site
    from mmkd.losses import LetKDIntermediate, LetKDPenultimate
    from mmkd.targets import Targets

    shape = (max(2, side // 8), 8 * side, 7, 7)
    teacher = noise(shape[0], 512, 7, 7) / 16
    words = LetKDPenultimate('random')
    words.build(Site([noise(*shape)], [teacher]))
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
    kinds.build(Site([noise(*shape)], [teacher]))
    labels = torch.arange(len(teacher), device=device) % side
    book = {name: getattr(kinds, name) for name in kinds.names}
    yield Case(
        'letKD, intermediate',
        [shape],
        lambda s: kinds(s[0], teacher, Targets(labels=labels)),
        {'rows': lambda s: cheapest.subclasses(s[0], teacher, labels, book)},
    )
