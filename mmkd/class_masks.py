"""Crops of the classes in a segmentation map, pooled without a loop over them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def class_masks(
    levels: Sequence[Tensor], label_maps: Tensor, sizes: Sequence[int], absent: int
) -> tuple[list[Tensor], Tensor]:
    """Crop the smallest box around each class in an image, the rest of it masked.

    How many classes there are is read from the device, once.

    Args:
        levels: Maps (N, C, H, W) of one size.
        label_maps: The class of every position (N, H, W).
        sizes: Height and width of a crop, for each level.
        absent: The label of a position without a class.

    Returns:
        Of each level crops (R, C, size, size), by image and class, each cell the mean
        of the class's positions in it, or zero; and the classes (R,).
    """
    classes, counts = _present(label_maps, absent)
    labels = [own[:count] for own, count in zip(classes, counts)]
    masks = [own == known[:, None, None] for own, known in zip(label_maps, labels)]
    cells = {size: [_cells(mask, size) for mask in masks] for size in set(sizes)}
    found = [
        torch.cat([_means(image, own) for image, own in zip(x, cells[size])])
        for x, size in zip(levels, sizes)
    ]
    return found, torch.cat(labels)


def _means(x: Tensor, cells: Tensor) -> Tensor:
    """Of a map (C, H, W) the means in cells (r, s, s, H W): (r, C, s, s)."""
    inside = cells.to(x.dtype)
    total = inside @ x.flatten(1).T  # (r, s, s, C)
    mean = total / inside.sum(3, keepdim=True).clamp(min=1)
    return mean.permute(0, 3, 1, 2)


def _present(label_maps: Tensor, absent: int) -> tuple[Tensor, list[int]]:
    """The classes in each of N label maps, ascending, and how many there are.

    Behind them a row of (N, H W) has other numbers.
    """
    ordered = label_maps.flatten(1).sort(1).values
    new = F.pad(ordered[:, 1:] != ordered[:, :-1], (1, 0), value=True)
    new &= ordered != absent
    behind = torch.iinfo(ordered.dtype).max
    classes = ordered.masked_fill(~new, behind).sort(1).values
    counts: list[int] = new.sum(1).tolist()
    return classes, counts


def _cells(masks: Tensor, size: int) -> Tensor:
    """What is in each cell of crops around masks (r, H, W): (r, size, size, H W)."""
    down = _bands(masks.any(2), size)[:, :, None, :, None]
    across = _bands(masks.any(1), size)[:, None, :, None, :]
    return (down & across & masks[:, None, None]).flatten(3)


def _bands(used: Tensor, size: int) -> Tensor:
    """Where the cells of ``adaptive_avg_pool`` over what is used (r, n) lie in it.

    That is from the first position that is used to the last, k of them: cell i has
    those from floor(i k / size) up to ceil((i + 1) k / size).

    Returns:
        A mask (r, size, n).
    """
    length = used.shape[1]
    steps = torch.arange(length, device=used.device)
    first = steps.where(used, length).amin(1, keepdim=True)
    count = steps.where(used, -1).amax(1, keepdim=True) + 1 - first
    cells = torch.arange(size, device=used.device)
    start = first + cells * count // size
    end = first - (-(cells + 1) * count) // size
    inside: Tensor = (steps >= start[..., None]) & (steps < end[..., None])
    return inside
