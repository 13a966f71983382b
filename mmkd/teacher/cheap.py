"""A frozen teacher made cheap: one config key, ``teacher_options``.

==================  ==================================================================
option              what it does, and what it changes in the loss
==================  ==================================================================
``fold_bn``         BatchNorms go into the convolutions before them. Rounding.
``channels_last``   The memory order that GPUs' tensor cores want. Rounding.
``dtype``           Autocast to 'bfloat16' or 'float16'; the terms get fp32. Rounding to
                    8 or 11 bits.
``compile``         ``torch.compile`` of the parts between the taps. Rounding.
``every``           The teacher's terms only in every k-th iteration, times k.
``recording``       The teacher does not run: see :mod:`mmkd.recording`.
==================  ==================================================================

All are off by default. That a teacher runs no further than the last thing that is
tapped changes nothing, and is always so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.arguments import Count
from mmkd.teacher.compiled import compile_parts
from mmkd.teacher.fold import fold_batch_norms

DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16}
TOLERANCE = 1e-3  # of the largest value, before and after
Run = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class TeacherOptions:
    """What is done to make a teacher cheap; see the module's docstring.

    Args:
        fold_bn: Fold BatchNorms.
        channels_last: Order the memory so.
        dtype: 'bfloat16' or 'float16'.
        compile: True, or the arguments of ``torch.compile``.
        every: So many iterations from one use of the teacher to the next.
        recording: The folder of a recording, which is used instead of the teacher.
    """

    fold_bn: bool = False
    channels_last: bool = False
    dtype: str | None = None
    compile: bool | Mapping[str, Any] = False
    every: Count = 1
    recording: str | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(
                f"teacher_options: dtype='{self.dtype}' is none of {[*DTYPES]}."
            )
        if not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f'teacher_options: every={self.every} is no count.')

    def apply(
        self, model: nn.Module, run: Run, images: Tensor, tapped: set[str]
    ) -> None:
        """Change a frozen model in place; raise if it then says something else.

        Args:
            model: The teacher.
            run: Runs it on images and returns what is tapped.
            images: Some (N, C, H, W), not black.
            tapped: Names of the modules that are tapped.
        """
        if self.fold_bn:
            before = run(images)
            fold_batch_norms(model, lambda: run(images), tapped)
            reason = 'uses what a convolution gives twice'
            _check_same(before, run(images), 'fold_bn', reason)
        if self.channels_last:
            before = run(images)
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            reason = 'has operators that do not know this order'
            _check_same(before, run(self.order(images)), 'channels_last', reason)
        if self.compile:
            settings = {} if self.compile is True else dict(self.compile)
            compile_parts(model, tapped, settings)

    def order(self, images: Tensor) -> Tensor:
        """Images in the teacher's order of memory."""
        if not self.channels_last:
            return images
        return images.contiguous(memory_format=torch.channels_last)

    @contextmanager
    def precision(self, device: torch.device) -> Iterator[None]:
        """Where the teacher runs; without a dtype, in the precision that is on."""
        if self.dtype is None:
            yield
            return
        with torch.autocast(device.type, DTYPES[self.dtype]):
            yield


def _check_same(
    before: list[Tensor], after: list[Tensor], option: str, reason: str
) -> None:
    for old, new in zip(before, after):
        off = float((old - new).abs().max() / old.abs().max().clamp(min=1e-12))
        if not off <= TOLERANCE:
            raise RuntimeError(
                f'teacher_options: with {option} the teacher says something else (off '
                f'by {off:.1%} of the largest value); perhaps it {reason}. Leave '
                f'{option} out.'
            )
