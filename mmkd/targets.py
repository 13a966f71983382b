"""What a loss may know of the ground truth, the same for every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Targets:
    """The ground truth of one batch. What a task does not have is None.

    Args:
        labels: Class of each image (N,).
        scores: Soft labels (N, K), after Mixup or CutMix.
        boxes: Per image, boxes (n, 4) as x1, y1, x2, y2 in pixels of the input.
        box_labels: Per image, the class of each box (n,).
        mask_structures: Per image, instance masks as the task's package stores them.
        seg_maps: Per image, the class of each pixel (H, W).
        ignore_index: The label of a pixel in ``seg_maps`` that does not count.
        input_size: Height and width of the batch, padding included.
        image_sizes: Per image, height and width without padding.
        sample_ids: Per image, what identifies it in its data set.
    """

    labels: Tensor | None = None
    scores: Tensor | None = None
    boxes: list[Tensor] | None = None
    box_labels: list[Tensor] | None = None
    mask_structures: list[Any] | None = None
    seg_maps: list[Tensor] | None = None
    ignore_index: int = 255
    input_size: tuple[int, int] | None = None
    image_sizes: list[tuple[int, int]] | None = None
    sample_ids: list[Any] | None = None

    @property
    def seg_map(self) -> Tensor | None:
        """The batch's segmentation map (N, H, W)."""
        return None if self.seg_maps is None else torch.stack(self.seg_maps)

    @property
    def masks(self) -> list[Tensor] | None:
        """Per image, instance masks (n, H, W), made only when a loss asks."""
        if self.mask_structures is None or self.boxes is None:
            return None
        return [
            masks.to_tensor(torch.bool, boxes.device)
            for masks, boxes in zip(self.mask_structures, self.boxes)
        ]
