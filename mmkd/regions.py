"""A feature and its class, on every task: labelled regions, positions and rows.

A semantic-aware method is written once with these. A region is the whole image in
classification, a ground-truth box in detection, and the mask of a class that is present
in segmentation.

Nothing is read from the device, with one exception: how many classes each image of a
segmentation batch has (in :func:`regions`, one read a call).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.class_masks import class_masks
from mmkd.targets import Targets

NOTHING = -1  # the label of what belongs to no class


def regions(feature: Tensor, targets: Targets, size: int) -> tuple[Tensor, Tensor]:
    """Crop every labelled region of a map to one size.

    Args:
        feature: A map (N, C, H, W).
        targets: The ground truth; see :class:`mmkd.targets.Targets`.
        size: Height and width of a crop.

    Returns:
        Crops (R, C, size, size) and their classes (R,); R may be zero.
    """
    if targets.seg_maps is not None:
        labels = label_map(feature, targets)
        found, classes = class_masks([feature], labels, [size], NOTHING)
        return found[0], classes
    if targets.boxes is not None:
        return _boxes(feature, targets, size)
    if targets.labels is None:
        raise ValueError(
            'Regions need hard labels, boxes or segmentation maps, and this batch has '
            'none (Mixup, CutMix and multi-label images have no single class).'
        )
    return F.adaptive_avg_pool2d(feature, size), targets.labels


def crops(
    levels: Sequence[Tensor],
    targets: Targets | None,
    size: int | Sequence[int],
    stride: int = 8,
) -> tuple[list[Tensor], Tensor | None]:
    """The same regions of several maps.

    The whole image needs no class, so it may be mixed, and targets may be None.

    Args:
        levels: Maps (N, C, H, W) of any sizes.
        targets: The ground truth.
        size: Height and width of a crop; or one number for each level.
        stride: In segmentation all maps are first brought to the size of the label map
            over this, so that the same classes are found in every one.

    Returns:
        Of each level its crops (R, C, size, size); and labels (R,), or soft ones (R, K)
        of mixed images, or None.
    """
    sizes = [size] * len(levels) if isinstance(size, int) else list(size)
    if len(sizes) != len(levels):
        raise ValueError(f'{len(levels)} levels, and {len(sizes)} sizes of crops.')
    if targets is not None and targets.seg_maps is not None:
        height, width = (math.ceil(n / stride) for n in targets.seg_maps[0].shape)
        same = [_resized(x, (height, width)) for x in levels]
        return class_masks(same, label_map(same[0], targets), sizes, NOTHING)
    if targets is not None and targets.boxes is not None:
        pairs = [_boxes(x, targets, n) for x, n in zip(levels, sizes)]
        return [found for found, _ in pairs], pairs[0][1]
    labels = None
    if targets is not None:
        labels = targets.labels if targets.scores is None else targets.scores
    return [F.adaptive_avg_pool2d(x, n) for x, n in zip(levels, sizes)], labels


def label_map(feature: Tensor, targets: Targets) -> Tensor:
    """The class of every position of a map (N, C, H, W), as (N, H, W).

    Positions without one have ``NOTHING``. Where boxes overlap, the smaller one counts.
    """
    count, _, height, width = feature.shape
    if targets.seg_maps is not None:
        small = _seg_map(feature, targets)
        return small.long().masked_fill(small == targets.ignore_index, NOTHING)
    if targets.boxes is not None:
        return _box_labels(feature, targets)
    if targets.labels is None:
        raise ValueError('A label map needs hard labels, boxes or segmentation maps.')
    return targets.labels[:, None, None].expand(count, height, width)


# -- what is classified ----------------------------------------------------------------


def valid(logits: Tensor, targets: Targets | None) -> Tensor | None:
    """Which pixels (N, H, W) of logits (N, K, H, W) count; None: all, of any logits."""
    if targets is None or targets.seg_maps is None or logits.ndim != 4:
        return None
    return _seg_map(logits, targets) != targets.ignore_index


def masked_mean(values: Tensor, where: Tensor | None) -> Tensor:
    """Mean of values where a mask of their shape is set, or of all; zero of none."""
    if where is None:
        return values.sum() / max(1, values.numel())
    mean: Tensor = (values * where).sum() / where.sum().clamp(min=1)
    return mean


def rows(logits: Tensor | Sequence[Tensor], targets: Targets) -> tuple[Tensor, Tensor]:
    """Logits, one row for each thing that is classified, and its class.

    A row without one of the K classes (an ignored pixel, an anchor on the background)
    stays, with the label ``NOTHING``: dropping it would wait for the device to count.
    A loss looks classes up with ``labels.clamp(min=0)``, and reduces with
    ``masked_mean(values, labels != NOTHING)``, in which such a row has no gradient.

    Args:
        logits: (N, K) of images or regions, with ``targets.labels`` (N,); (N, K, H, W)
            of pixels, with a segmentation map, of which the nearest pixel is taken;
            (N, A K, H, W) of a dense head with A anchors at a position, with
            ``targets.labels`` of N H W A elements in this order, as ``get_targets()``
            gives them. Or levels of these; a list of labels has one for each then.
        targets: The ground truth.

    Returns:
        Rows (M, K), ordered by level, image, row, column and anchor; labels (M,).
    """
    if isinstance(logits, Tensor):
        return _rows(logits, targets.labels, targets)
    several: Any = targets.labels
    if not isinstance(several, (list, tuple)):
        several = [several] * len(logits)
    if len(several) != len(logits):
        raise ValueError(f'{len(logits)} levels, and labels for {len(several)}.')
    parts = [_rows(x, labels, targets) for x, labels in zip(logits, several)]
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def _rows(
    logits: Tensor, labels: Tensor | None, targets: Targets
) -> tuple[Tensor, Tensor]:
    if labels is None and targets.seg_maps is not None and logits.ndim == 4:
        labels = label_map(logits, targets)
    if labels is None:
        raise ValueError(
            'This loss needs the class of every row, and the batch has none: images '
            'are mixed (Mixup, CutMix) or have several classes; or, in detection, the '
            "term has no labels='….get_targets()[…]'."
        )
    labels, last = labels.flatten(), logits.movedim(1, -1)  # (N, K), (N, H, W, A K)
    places = last[..., 0].numel()
    anchors = max(1, len(labels) // max(1, places))
    uneven = places * anchors != len(labels) or logits.shape[1] % anchors
    if uneven or (anchors > 1 and logits.ndim == 2):
        raise ValueError(
            f'Logits {tuple(logits.shape)} do not go with {len(labels)} labels.'
        )
    found = last.reshape(len(labels), logits.shape[1] // anchors)
    outside = (labels < 0) | (labels >= found.shape[1])
    return found, labels.masked_fill(outside, NOTHING)


def _seg_map(feature: Tensor, targets: Targets) -> Tensor:
    """The segmentation map at the size of a map (N, C, H, W), as floats (N, H, W)."""
    seg_map = targets.seg_map
    assert seg_map is not None
    # Class numbers are far below 2^24, up to which floats are exact.
    found: Tensor = F.interpolate(
        seg_map[:, None].float(), feature.shape[2:], mode='nearest'
    )
    return found[:, 0]


# -- boxes -----------------------------------------------------------------------------


def _scaled(boxes: Tensor, feature: Tensor, targets: Targets) -> Tensor:
    """Boxes (n, 4) of the input in units of a feature's positions."""
    if targets.input_size is None:
        raise ValueError('Boxes need the size of the input: targets.input_size')
    height, width = targets.input_size
    ratios = (feature.shape[3] / width, feature.shape[2] / height) * 2
    corners = boxes.to(feature.dtype).unbind(1)
    return torch.stack([x * ratio for x, ratio in zip(corners, ratios)], 1)


def _box_labels(feature: Tensor, targets: Targets) -> Tensor:
    assert targets.boxes is not None and targets.box_labels is not None
    maps = []
    for boxes, labels in zip(targets.boxes, targets.box_labels):
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = area.sort(descending=True, stable=True).indices
        x1, y1, x2, y2 = _scaled(boxes[order], feature, targets).unbind(1)
        in_rows = _between(y1, y2, feature.shape[2])
        in_columns = _between(x1, x2, feature.shape[3])
        # Number of each box where it is, from 1; the last one, the smallest, counts.
        number = torch.arange(1, len(boxes) + 1, dtype=torch.int, device=feature.device)
        inside = in_rows[:, :, None] & in_columns[:, None]
        places = number[:, None, None] * inside
        last = F.pad(places, (0, 0, 0, 0, 1, 0)).amax(0)
        maps.append(F.pad(labels[order], (1, 0), value=NOTHING)[last.long()])
    return torch.stack(maps)


def _between(start: Tensor, end: Tensor, length: int) -> Tensor:
    """Which positions are in intervals (n,), at least one in each: (n, length)."""
    steps = torch.arange(length, device=start.device)
    first = start.trunc()
    behind = torch.maximum(first + 1, end.round())
    return (steps >= first[:, None]) & (steps < behind[:, None])


def _boxes(feature: Tensor, targets: Targets, size: int) -> tuple[Tensor, Tensor]:
    """Bilinear crops, each cell the mean of 2x2 points in it."""
    assert targets.boxes is not None and targets.box_labels is not None
    points = 2 * size
    steps = torch.arange(points, dtype=feature.dtype, device=feature.device) + 0.5
    height, width = feature.shape[2:]
    found = []
    for x, boxes in zip(feature, targets.boxes):
        corners = _scaled(boxes, feature, targets)
        start, span = corners[:, None, :2], corners[:, None, 2:] - corners[:, None, :2]
        at = start + span * (steps / points)[None, :, None]  # (n, points, 2)
        across = (2 * at[:, None, :, 0] / width - 1).expand(-1, points, -1)
        down = (2 * at[:, :, None, 1] / height - 1).expand(-1, -1, points)
        grid = torch.stack([across, down], 3).flatten(0, 1)[None]
        sampled = F.grid_sample(
            x[None], grid, padding_mode='border', align_corners=False
        )
        crop = sampled[0].reshape(len(x), len(boxes), points, points).transpose(0, 1)
        found.append(F.avg_pool2d(crop, 2) if len(boxes) else crop[..., ::2, ::2])
    return torch.cat(found), torch.cat(targets.box_labels)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (N, C, H, W) at another size."""
    if tuple(x.shape[2:]) == size:
        return x
    resized: Tensor = F.interpolate(x, size, mode='bilinear', align_corners=False)
    return resized
