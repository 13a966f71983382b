"""Batches of noise with random ground truth, for every kind of model."""

from __future__ import annotations

from typing import Any

import torch

from mmkd.yardstick.pairs import Pair


def make_batch(pair: Pair, distiller: Any, size: int, count: int) -> dict[str, Any]:
    """Noise with random ground truth, on the device already."""
    data = _noise(pair, distiller, size, count)
    batch: dict[str, Any] = distiller.data_preprocessor.cast_data(data)
    return batch


def _noise(pair: Pair, distiller: Any, size: int, count: int) -> dict[str, Any]:
    """A batch as a dataloader gives it."""
    classes = distiller.task.classes(distiller.student) or 2
    shape = (3, size, size)
    torch.manual_seed(0)
    if pair.kind == 'two_stage':
        from mmdet.testing import demo_mm_inputs

        found: dict[str, Any] = demo_mm_inputs(
            count,
            [list(shape)] * count,
            num_items=[5] * count,
            num_classes=classes,
            with_mask='mask_head' in pair.student['roi_head'],
        )
        return found
    images = list(torch.randint(0, 256, (count, *shape), dtype=torch.uint8))
    samples: list[Any] = []
    for _ in range(count):
        if pair.kind == 'cls':
            from mmpretrain.structures import DataSample

            label = int(torch.randint(classes, ()))
            samples.append(DataSample().set_gt_label(label))
        else:
            from mmengine.structures import PixelData
            from mmseg.structures import SegDataSample

            labels = torch.randint(classes, (1, size, size))
            labels[:, : size // 8] = 255
            samples.append(SegDataSample(metainfo=dict(img_shape=shape[1:])))
            samples[-1].gt_sem_seg = PixelData(data=labels)
    return {'inputs': images, 'data_samples': samples}
