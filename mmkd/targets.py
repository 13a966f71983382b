"""What a loss may know of the ground truth, the same for every task."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Union

import torch
from torch import Tensor

T = TypeVar('T')
Given = Union[T, Callable[[], T]]


class _Asked(Generic[T]):
    """A field that may be given as a function, which is called when it is first read.

    So what is dear to find out costs nothing where no loss wants to know.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, targets: Any, owner: type | None = None) -> T:
        if targets is None:
            return None  # type: ignore[return-value]  # the default, asked of the class
        value = targets.__dict__[self.name]
        if callable(value) and not isinstance(value, Tensor):
            value = targets.__dict__[self.name] = value()
        found: T = value
        return found

    def __set__(self, targets: Any, value: Given[T]) -> None:
        targets.__dict__[self.name] = value


@dataclass
class Targets:
    """The ground truth of one batch. What a task does not have is None.

    Args:
        labels: Class of each image (N,). None where an image has several or, after
            Mixup and CutMix, parts of two. Where there are ``scores`` it is they that
            tell, and the first reading takes one number from the device. A term's
            ``labels=`` puts something else here: see :class:`mmkd.term.Term`.
        scores: Soft labels (N, K), after Mixup or CutMix.
        boxes: Per image, boxes (n, 4) as x1, y1, x2, y2 in pixels of the input.
        box_labels: Per image, the class of each box (n,).
        masks: Per image, instance masks (n, H, W); made when they are first read.
        seg_maps: Per image, the class of each pixel (H, W).
        ignore_index: The label of a pixel in ``seg_maps`` that does not count.
        input_size: Height and width of the batch, padding included.
        image_sizes: Per image, height and width without padding.
        indices: The place of each image in its data set (N,), on the CPU. None where
            the pipeline does not pack ``sample_idx`` (mmpretrain's does; elsewhere
            ``meta_keys`` asks for it). The data sets in a ConcatDataset count for
            themselves.
    """

    labels: _Asked[Tensor | None] = _Asked()
    scores: Tensor | None = None
    boxes: list[Tensor] | None = None
    box_labels: list[Tensor] | None = None
    masks: _Asked[list[Tensor] | None] = _Asked()
    seg_maps: list[Tensor] | None = None
    ignore_index: int = 255
    input_size: tuple[int, int] | None = None
    image_sizes: list[tuple[int, int]] | None = None
    indices: Tensor | None = None

    @property
    def seg_map(self) -> Tensor | None:
        """The batch's segmentation map (N, H, W)."""
        return None if self.seg_maps is None else torch.stack(self.seg_maps)

    def with_labels(self, labels: Any) -> Targets:
        """The same with other labels; nothing is read."""
        other = copy.copy(self)
        other.labels = labels
        return other
