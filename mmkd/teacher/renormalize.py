"""Renormalize: images normalised for the student, as the teacher was trained to see."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn


class Renormalize(nn.Module):
    """Undo one data preprocessor's normalisation and apply another's.

    Idle where both are the same, or where the teacher's config has none of its own.

    Args:
        student: The data preprocessor whose output comes in.
        teacher: The one whose output the teacher expects; None if that is not said.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module | None) -> None:
        super().__init__()
        old = statistics(student)
        new = None if teacher is None else statistics(teacher)
        self.idle = new is None or old == new
        if teacher and not new and type(teacher) is not BaseDataPreprocessor:
            print_log(
                f"How the teacher's {type(teacher).__name__} normalises is not known: "
                'it gets the images as the student sees them.',
                'current',
                logging.WARNING,
            )
        if new is None or old == new:
            return
        if old is None:
            raise ValueError(
                'Teacher and student expect different images, but how the '
                f"student's {type(student).__name__} normalises is not known. Give the "
                "teacher's config the same data_preprocessor."
            )
        if len(old[0]) != len(new[0]):
            raise ValueError(
                f'The student sees {len(old[0])} channels and the teacher '
                f'{len(new[0])}: normalisation cannot be translated.'
            )
        self.m0: Tensor
        self.s0: Tensor
        self.m1: Tensor
        self.s1: Tensor
        self.flip = old[2] != new[2]
        self.text = f'mean {new[0]}, std {new[1]}, {"RGB" if new[2] else "BGR"}'
        means, stds = (list(x[::-1]) if self.flip else list(x) for x in old[:2])
        for name, values in zip(('m0', 's0', 'm1', 's1'), (means, stds, *new[:2])):
            column = torch.tensor(values).view(-1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(self, inputs: Tensor, data_samples: list[Any] | None) -> Tensor:
        """Translate images (N, C, H, W); padding stays zero."""
        if self.idle:
            return inputs
        x = inputs.flip(1) if self.flip else inputs
        x = torch.addcmul(self.m0 - self.m1, x, self.s0).div_(self.s1)
        for image, sample in zip(x, data_samples or []):
            height, width = sample.metainfo.get('img_shape', x.shape[-2:])[:2]
            image[:, height:] = 0
            image[:, :, width:] = 0
        return x

    def extra_repr(self) -> str:
        """What the teacher gets."""
        return '' if self.idle else self.text


Statistics = tuple[tuple[float, ...], tuple[float, ...], bool]


def statistics(preprocessor: nn.Module) -> Statistics | None:
    """Mean, std and whether channels are turned around; None if it does not say."""
    # What mmengine and mmdet, mmseg, mmpretrain call it.
    names = ('_channel_conversion', 'channel_conversion', 'to_rgb')
    said = [name for name in names if hasattr(preprocessor, name)]
    if not said:
        return None
    turned = getattr(preprocessor, said[0])
    mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
    if mean is None or std is None:
        return (0.0,) * 3, (1.0,) * 3, bool(turned)
    return _numbers(mean), _numbers(std), bool(turned)


def _numbers(tensor: Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in tensor.flatten())
