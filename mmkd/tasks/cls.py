"""Classification with mmpretrain."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.paths import Player
from mmkd.recorder import Recorder
from mmkd.registry import TASK_UTILS
from mmkd.targets import Targets
from mmkd.tasks.base import (
    Find,
    Samples,
    Task,
    classes_of,
    image_sizes,
    indices,
    modules_of,
)


@TASK_UTILS.register_module()
class ClassificationTask(Task):
    """Image classifiers: backbone, neck (pooling), head."""

    package = 'mmpretrain'

    def targets(self, student: nn.Module, data_samples: Samples | None) -> Targets:
        """Labels, soft labels after Mixup or CutMix, indices."""
        if not data_samples:
            return Targets()
        scores = _stacked(data_samples, 'gt_score')
        # Mixup and CutMix leave the labels of the images before they were mixed.
        return Targets(
            labels=_joined(data_samples, 'gt_label')
            if scores is None
            else partial(_unmixed, scores),
            scores=scores,
            image_sizes=image_sizes(data_samples),
            indices=indices(data_samples),
        )

    def classes(self, model: nn.Module) -> int | None:
        """Those of the head."""
        return classes_of(getattr(model, 'head', None))

    def players(self, model: nn.Module) -> dict[str, Player | Find]:
        """The last layer of the head (or the head), the stages, the pooled vector."""
        found = super().players(model)
        last = _last_layer(model)
        if getattr(model, 'head', None) is not None:
            found['logits'] = 'head.fc' if last == 'head.fc' else 'head'
        if getattr(model, 'neck', None) is not None:
            found['pooled'] = 'neck'
        elif last is not None:
            found['pooled'] = f'{last}:input'
        return found

    def run(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Samples | None,
        paths: Sequence[str],
        student: Recorder | None = None,
    ) -> None:
        """Backbone and neck; the head only where it is tapped."""
        if modules_of(paths) <= {'backbone', 'neck'}:
            model.extract_feat(inputs)
        else:
            model(inputs, data_samples, mode='tensor')

    def example(
        self, size: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Samples]:
        """Two black images of class 0."""
        from mmpretrain.structures import DataSample

        inputs, _ = super().example(size, device)
        return inputs, [DataSample().set_gt_label(0).to(device) for _ in inputs]

    def task_loss(
        self, student: nn.Module, output: Any, data_samples: Samples
    ) -> dict[str, Tensor]:
        """The student's own classification loss on other logits (N, K)."""
        losses: dict[str, Tensor] = student.head._get_loss(output, data_samples)
        return losses


def _joined(samples: Samples, key: str) -> Tensor | None:
    values = [sample.get(key) for sample in samples]
    if any(value is None or value.numel() != 1 for value in values):
        return None  # absent, or several labels an image
    return torch.cat(values)


def _stacked(samples: Samples, key: str) -> Tensor | None:
    values = [sample.get(key) for sample in samples]
    return None if any(value is None for value in values) else torch.stack(values)


def _unmixed(scores: Tensor) -> Tensor | None:
    """Classes (N,) of scores (N, K) that have one each; None if any image is mixed.

    What comes of it is a number that waits for the device. Only batches with scores
    pay that, of a preprocessor with ``batch_augments`` or ``to_onehot``, and of those
    only where a loss reads labels.
    """
    top, labels = scores.max(1)
    single = (top == 1) & (scores.count_nonzero(1) == 1)
    return labels if single.all() else None


def _last_layer(model: nn.Module) -> str | None:
    """The linear layer that a head ends with."""
    for name in ('fc', 'layers.head'):
        with suppress(AttributeError):
            if isinstance(model.get_submodule(f'head.{name}'), nn.Linear):
                return f'head.{name}'
    return None
