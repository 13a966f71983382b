"""Labelled regions of a feature map: "a feature and its class", on every task.

A semantic-aware method is written once with these. A region is the whole image in
classification, a ground-truth box in detection, and the mask of a class that is present
in segmentation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.targets import Targets

NOTHING = -1  # the label of a position that belongs to no class


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
        return _class_masks(feature, label_map(feature, targets), size)
    if targets.boxes is not None:
        return _boxes(feature, targets, size)
    if targets.labels is None:
        raise ValueError(
            'Regions need hard labels, boxes or segmentation maps, and this batch has '
            'none (Mixup, CutMix and multi-label images have no single class).'
        )
    return F.adaptive_avg_pool2d(feature, size), targets.labels


def label_map(feature: Tensor, targets: Targets) -> Tensor:
    """The class of every position of a map (N, C, H, W), as (N, H, W).

    Positions without one have ``NOTHING``. Where boxes overlap, the smaller one counts.
    """
    count, _, height, width = feature.shape
    if targets.seg_maps is not None:
        seg_map = torch.stack(targets.seg_maps)
        small = F.interpolate(seg_map[:, None].double(), (height, width))[:, 0].long()
        labels: Tensor = small.masked_fill(small == targets.ignore_index, NOTHING)
        return labels
    if targets.boxes is not None:
        return _box_labels(feature, targets)
    if targets.labels is None:
        raise ValueError('A label map needs hard labels, boxes or segmentation maps.')
    return targets.labels[:, None, None].expand(count, height, width)


def _scaled(boxes: Tensor, feature: Tensor, targets: Targets) -> Tensor:
    """Boxes (n, 4) of the input in units of a feature's positions."""
    if targets.input_size is None:
        raise ValueError('Boxes need the size of the input: targets.input_size')
    height, width = targets.input_size
    ratio = (feature.shape[3] / width, feature.shape[2] / height)
    return boxes.to(feature.dtype) * feature.new_tensor(ratio * 2)


def _box_labels(feature: Tensor, targets: Targets) -> Tensor:
    assert targets.boxes is not None and targets.box_labels is not None
    count, _, height, width = feature.shape
    result = torch.full((count, height, width), NOTHING, device=feature.device)
    for i, (boxes, labels) in enumerate(zip(targets.boxes, targets.box_labels)):
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        for j in area.argsort(descending=True).tolist():
            x1, y1, x2, y2 = _scaled(boxes[j], feature, targets).tolist()
            rows = slice(int(y1), max(int(y1) + 1, round(y2)))
            columns = slice(int(x1), max(int(x1) + 1, round(x2)))
            result[i, rows, columns] = labels[j]
    return result


def _boxes(feature: Tensor, targets: Targets, size: int) -> tuple[Tensor, Tensor]:
    """Bilinear crops, each cell the mean of 2x2 points in it."""
    assert targets.boxes is not None and targets.box_labels is not None
    points = 2 * size
    steps = (torch.arange(points).to(feature) + 0.5) / points
    crops = []
    for x, boxes in zip(feature, targets.boxes):
        corners = _scaled(boxes, feature, targets)
        start, span = corners[:, None, :2], corners[:, None, 2:] - corners[:, None, :2]
        at = start + span * steps[None, :, None]  # (n, points, 2)
        at = 2 * at / at.new_tensor([feature.shape[3], feature.shape[2]]) - 1
        columns = at[:, None, :, 0].expand(-1, points, -1)
        rows = at[:, :, None, 1].expand(-1, -1, points)
        grid = torch.stack([columns, rows], 3).flatten(0, 1)[None]
        sampled = F.grid_sample(
            x[None], grid, padding_mode='border', align_corners=False
        )
        crop = sampled[0].reshape(len(x), len(boxes), points, points).transpose(0, 1)
        crops.append(F.avg_pool2d(crop, 2) if len(boxes) else crop[..., ::2, ::2])
    return torch.cat(crops), torch.cat(targets.box_labels)


def _class_masks(
    feature: Tensor, label_maps: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """For each class in an image the smallest box around it, the rest of it masked."""
    # Without any class the result still hangs on the feature, as DDP wants it.
    crops, classes = [F.adaptive_avg_pool2d(feature[:0], size)], []
    for x, own in zip(feature, label_maps):
        for label in own.unique().tolist():
            if label == NOTHING:
                continue
            mask = own == label
            rows, columns = (mask.any(dim).nonzero() for dim in (1, 0))
            box = (
                slice(int(rows[0]), int(rows[-1]) + 1),
                slice(int(columns[0]), int(columns[-1]) + 1),
            )
            inside = mask[box].to(x.dtype)[None]
            total = F.adaptive_avg_pool2d(x[(slice(None), *box)] * inside, size)
            share = F.adaptive_avg_pool2d(inside, size)
            crops.append((total / share.clamp(min=1e-6))[None])  # mean over the class
            classes.append(label)
    labels = torch.tensor(classes, dtype=torch.long, device=feature.device)
    return torch.cat(crops), labels
