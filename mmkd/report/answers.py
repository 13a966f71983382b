"""What networks, and the ground truth, say of an image: the same form for all tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmkd.report.images import Images
from mmkd.report.subjects import Subject

Array = NDArray[Any]


@dataclass
class Answer:
    """What a network, or the ground truth, says of one image; one kind is filled.

    Args:
        scores: Probabilities of the classes (K,).
        boxes: Corners (n, 4) in the coordinates of the image that was shown.
        labels: Their classes (n,); or of the whole image (1,).
        confidences: Of the boxes (n,); None is the ground truth.
        masks: Of the boxes (n, h, w).
        segments: Class of every pixel (h, w).
    """

    scores: Array | None = None
    boxes: Array | None = None
    labels: Array | None = None
    confidences: Array | None = None
    masks: Array | None = None
    segments: Array | None = None


@dataclass
class Sample:
    """An image, its ground truth, and the networks' answers and attention."""

    image: Array
    truth: Answer
    answers: dict[str, Answer] = field(default_factory=dict)
    attention: dict[str, Array] = field(default_factory=dict)


@torch.no_grad()
def ask(subject: Subject, item: Any, images: Images) -> list[Answer]:
    """A network's predictions for a batch."""
    predicted = subject.model(**subject.prepare(item), mode='predict')
    return [_answer(sample) for sample in predicted]


def _answer(sample: Any) -> Answer:
    if 'pred_score' in sample:
        return Answer(scores=array(sample.pred_score))
    if 'pred_sem_seg' in sample:
        return Answer(segments=array(sample.pred_sem_seg.data[0]))
    if 'pred_instances' in sample:
        found = sample.pred_instances
        masks = array(found.masks) if 'masks' in found else None
        boxes = array(found.bboxes) * _factor(sample)
        return Answer(
            boxes=boxes,
            labels=array(found.labels),
            confidences=array(found.scores),
            masks=masks,
        )
    return Answer()


def truth(item: dict[str, Any], images: Images) -> Answer:
    """The ground truth of an image."""
    sample = item['data_samples']
    if 'gt_label' in sample:
        return Answer(labels=array(sample.gt_label))
    if 'gt_sem_seg' in sample:
        return Answer(segments=array(sample.gt_sem_seg.data[0]))
    if 'gt_instances' in sample and 'bboxes' in sample.gt_instances:
        found = sample.gt_instances
        boxes = array(getattr(found.bboxes, 'tensor', found.bboxes))
        masks = found.masks.to_ndarray() if 'masks' in found else None
        factor = 1.0 if images.boxes_are_resized else _factor(sample)
        labels = array(found.labels)
        return Answer(boxes=boxes * factor, labels=labels, masks=masks)
    return Answer()


def _factor(sample: Any) -> Array:
    """From the image file's coordinates to those of the image shown."""
    return np.tile(np.asarray(sample.metainfo.get('scale_factor', (1, 1)))[:2], 2)


def pixels(inputs: torch.Tensor) -> Array:
    """The image (H, W, 3) in RGB; OpenMMLab's pipelines read BGR."""
    pixels = inputs.permute(1, 2, 0).flip(-1).contiguous().cpu().numpy()
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        scaled = (
            pixels
            if low >= 0 and 1 < high <= 255
            else (pixels - low) / max(1e-9, high - low) * 255
        )
        pixels = scaled.astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def array(value: Any) -> Array:
    """A tensor, or what can be one, in NumPy."""
    found: Array = torch.as_tensor(value).detach().cpu().numpy()
    return found
