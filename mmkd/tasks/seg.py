"""Semantic segmentation with mmsegmentation."""

from __future__ import annotations

from collections.abc import Sequence
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
    last_of,
    modules_of,
    standing_in,
)


@TASK_UTILS.register_module()
class SegmentationTask(Task):
    """Encoder-decoders: backbone, neck, decode head, auxiliary heads."""

    package = 'mmseg'

    def targets(self, student: nn.Module, data_samples: Samples | None) -> Targets:
        """Segmentation maps and the label that is ignored in them."""
        if not data_samples or 'gt_sem_seg' not in data_samples[0]:
            return Targets()
        return Targets(
            seg_maps=[sample.gt_sem_seg.data[0] for sample in data_samples],
            ignore_index=getattr(_main_head(student), 'ignore_index', 255),
            image_sizes=image_sizes(data_samples),
            indices=indices(data_samples),
        )

    def classes(self, model: nn.Module) -> int | None:
        """Those of the decode head."""
        return classes_of(getattr(model, 'decode_head', None))

    def players(self, model: nn.Module) -> dict[str, Player | Find]:
        """The logits before they are enlarged, what goes into them, the stages."""
        found = super().players(model)
        if getattr(model, 'neck', None) is not None:
            found['pyramid'] = 'neck'
        if getattr(model, 'decode_head', None) is None:
            return found
        if hasattr(_main_head(model), 'conv_seg'):
            found['logits'] = f'{last_of(model, "decode_head")}.conv_seg'
            found['decoder'] = partial(self._decoder, model)
        return found

    def _decoder(self, model: nn.Module, images: Tensor, samples: Samples) -> Player:
        """The module that makes what is classified, before dropout."""
        head: Any = _main_head(model)
        path = last_of(model, 'decode_head')
        classify = head.cls_seg
        made: list[tuple[str, Any]] = []  # an outer module comes after its parts
        found: list[str] = []

        def cls_seg(feature: Tensor) -> Tensor:
            found.extend(name for name, output in made if output is feature)
            logits: Tensor = classify(feature)
            return logits

        hooks = [
            part.register_forward_hook(
                lambda _, __, output, name=name: made.append((name, output))
            )
            for name, part in head.named_modules()
            if name
        ]
        try:
            with standing_in(head, 'cls_seg', cls_seg):
                self.run(model, images, samples, [path])
        finally:
            for hook in hooks:
                hook.remove()
        if not found:
            raise ValueError(
                f'no module of {type(head).__name__} makes what it classifies'
            )
        return f'{path}.{found[-1]}'

    def run(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Samples | None,
        paths: Sequence[str],
        student: Recorder | None = None,
    ) -> None:
        """Backbone and neck; each head only where it is tapped."""
        tops = modules_of(paths)
        if not tops <= {'backbone', 'neck', 'decode_head', 'auxiliary_head'}:
            model(inputs, data_samples, mode='tensor')
            return
        features = model.extract_feat(inputs)
        if 'decode_head' in tops:
            first, *cascaded = _heads(model.decode_head)
            output = first.forward(features)
            for head in cascaded:
                output = head.forward(features, output)
        if 'auxiliary_head' in tops:
            for head in _heads(model.auxiliary_head):
                head.forward(features)

    def example(
        self, size: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Samples]:
        """Two black images of class 0."""
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        inputs, samples = super().example(size, device)[0], []
        for _ in inputs:
            sample = SegDataSample(metainfo=dict(img_shape=size))
            zeros = torch.zeros(1, *size, dtype=torch.long, device=device)
            sample.gt_sem_seg = PixelData(data=zeros)
            samples.append(sample)
        return inputs, samples

    def task_loss(
        self, student: nn.Module, output: Any, data_samples: Samples
    ) -> dict[str, Tensor]:
        """The student's own segmentation loss on other logits (N, K, H, W)."""
        losses: dict[str, Tensor] = _main_head(student).loss_by_feat(
            output, data_samples
        )
        return losses


def _heads(head: nn.Module) -> list[nn.Module]:
    return list(head) if isinstance(head, nn.ModuleList) else [head]


def _main_head(model: nn.Module) -> nn.Module:
    return _heads(model.decode_head)[-1]
