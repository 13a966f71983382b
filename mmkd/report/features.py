r"""How alike the features of two networks are: linear CKA, unbiased, over mini-batches.

Kornblith et al., 1905.00414; with the unbiased HSIC of Song et al. (JMLR 13, 2012)
summed over mini-batches, as in Nguyen et al., 2010.15327:

.. math:: \mathrm{CKA} = \frac{\sum_b H(K_b, L_b)}
    {\sqrt{\sum_b H(K_b, K_b)} \sqrt{\sum_b H(L_b, L_b)}}, \quad K_b = X_b X_b^T
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.build import find_task
from mmkd.paths import resolve
from mmkd.recorder import Recorder
from mmkd.report.subjects import Subject

GRID = 16  # maps are pooled to so many positions a side before they are compared
LEAST = 4  # images that the unbiased estimate needs
BACKBONE = ('backbone', 'backbone')


def hsic(x: Tensor, y: Tensor) -> float:
    r"""Unbiased HSIC of two Gram matrices (n, n), n >= 4.

    .. math:: \frac{1}{n(n-3)} \left[ \mathrm{tr}(KL) + \frac{1^T K 1 \, 1^T L 1}
        {(n-1)(n-2)} - \frac{2}{n-2} 1^T K L 1 \right]

    with the diagonals set to zero.
    """
    n = len(x)
    if n < LEAST:
        raise ValueError(f'the unbiased HSIC needs {LEAST} examples, not {n}')
    k, m = x.clone().fill_diagonal_(0), y.clone().fill_diagonal_(0)
    value = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2))
    value = value - 2 * (k.sum(0) @ m.sum(0)) / (n - 2)
    return float(value / (n * (n - 3)))


class CKA:
    """Linear CKA of two features, batch by batch."""

    def __init__(self) -> None:
        self.sums = [0.0, 0.0, 0.0]
        self.constant = False

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add a batch of two features (N, …) of the same N images or regions."""
        grams = [gram(x), gram(y)]
        self.constant = self.constant or any(not matrix.any() for matrix in grams)
        for i, (a, b) in enumerate(((0, 1), (0, 0), (1, 1))):
            self.sums[i] += hsic(grams[a], grams[b])

    @property
    def value(self) -> float | None:
        """CKA so far; None if a feature is constant, or the examples are too few."""
        both, first, second = self.sums
        if self.constant or first <= 0 or second <= 0:
            return None
        value = both / math.sqrt(first * second)
        return value if abs(value) < 1 + 1e-6 else None


def gram(feature: Tensor) -> Tensor:
    """Products (N, N) of the features (N, …) of the examples, less their mean.

    HSIC does not see the mean, but its rounding does. What is constant but for its
    rounding is zero.
    """
    rows = feature.flatten(1).double()
    centred = rows - rows.mean(0)
    if centred.norm() <= 1e-6 * rows.norm():
        centred = torch.zeros_like(rows)
    return centred @ centred.T


def small(feature: Tensor) -> Tensor:
    """A map (N, C, H, W) pooled to a grid; other features as they are."""
    if feature.ndim != 4 or max(feature.shape[2:]) <= GRID:
        return feature
    height, width = (min(GRID, size) for size in feature.shape[2:])
    return F.adaptive_avg_pool2d(feature.float(), (height, width))


def attention(feature: Tensor) -> Tensor:
    """Mean of the squares over channels (N, H, W) of a map (N, C, H, W)."""
    return feature.float().square().mean(1)


@dataclass(frozen=True)
class Layer:
    """A tapped layer: its path on both sides, and the terms that read it."""

    student: str
    teacher: str
    terms: tuple[str, ...] = ()


def tapped_layers(several: Sequence[Mapping[str, Any]]) -> list[Layer]:
    """The layers that the terms of distillations read, and the backbone."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, term in (item for terms in several for item in terms.items()):
        students = _as_list(term.get('student'))
        teachers = _as_list(term.get('teacher') or students)
        if len(students) == len(teachers):
            for pair in zip(students, teachers):
                found.setdefault(pair, []).append(name)
    found.setdefault(BACKBONE, [])
    return [Layer(s, t, tuple(names)) for (s, t), names in found.items()]


def _as_list(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [path for own in value.values() for path in _as_list(own)]
    return [value] if isinstance(value, str) else list(value or ())


@torch.no_grad()
def look(
    subject: Subject, item: Any, paths: Sequence[str], boxes_are_resized: bool = False
) -> dict[str, list[Tensor]]:
    """What a network's layers say to a batch; layers that it lacks are left out.

    RoI heads are run on the ground-truth boxes, so that all judge the same regions.

    Args:
        subject: The network.
        item: The batch, as :meth:`Images.batch` gives it.
        paths: See :mod:`mmkd.paths`.
        boxes_are_resized: See :class:`Images`.
    """
    model = subject.model
    data = subject.prepare(item)
    inputs, samples = data['inputs'], data.get('data_samples')
    found: dict[str, list[Tensor]] = {}
    task = find_task(model)
    players = partial(task.roles, model, size=tuple(inputs.shape[-2:]))
    for path in paths:
        try:
            own = resolve(model, path, players)
        except ValueError:
            continue
        regions: Any = None
        if any(one.startswith('roi_head') for one in own):
            regions = _Boxes(samples, inputs, boxes_are_resized)
        with Recorder(model, own, own) as recorder:
            task.run(model, inputs, samples, own, regions)
        if all(recorder.fired(one) for one in own):
            found[path] = [level.detach() for one in own for level in recorder[one]]
    return found


class _Boxes:
    """Stands for a student's recorder: its regions are the ground truth."""

    def __init__(self, samples: Any, inputs: Tensor, resized: bool) -> None:
        rows = []
        for i, sample in enumerate(samples or ()):
            boxes = sample.gt_instances.bboxes if 'gt_instances' in sample else []
            boxes = getattr(boxes, 'tensor', boxes)
            # Validation boxes are those of the image before it was resized.
            scale = sample.metainfo.get('scale_factor', (1.0, 1.0))
            factor = inputs.new_tensor((1.0, 1.0) if resized else scale)
            for box in boxes:
                scaled = box.to(inputs.device) * factor[:2].repeat(2)
                rows.append(torch.cat([inputs.new_tensor([i]), scaled]))
        self.rois = torch.stack(rows) if rows else inputs.new_zeros(0, 5)
        kinds = ('bbox', 'mask')
        self.paths = [f'roi_head.{kind}_roi_extractor:input.1' for kind in kinds]

    def __getitem__(self, path: str) -> list[Tensor]:
        return [self.rois]
