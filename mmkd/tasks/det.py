"""Object detection and instance segmentation with mmdet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from mmkd.paths import Player
from mmkd.recorder import Recorder
from mmkd.registry import TASK_UTILS
from mmkd.targets import Targets
from mmkd.tasks.base import (
    Samples,
    Task,
    classes_of,
    image_sizes,
    last_of,
    modules_of,
    sample_ids,
)

# What runs each kind of RoI head, and where the student's own regions can be read.
_ROI = {
    'bbox': ('_bbox_forward', 'roi_head.bbox_roi_extractor'),
    'mask': ('_mask_forward', 'roi_head.mask_roi_extractor'),
}


@TASK_UTILS.register_module()
class DetectionTask(Task):
    """One- and two-stage detectors, with and without masks.

    RoI heads of the teacher are run on the regions that the student sampled, so that
    both judge the same boxes: no proposals, label assignment or NMS of the teacher's
    own.
    """

    package = 'mmdet'

    def targets(self, student: nn.Module, data_samples: Samples | None) -> Targets:
        """Boxes, their classes and masks."""
        if not data_samples or 'gt_instances' not in data_samples[0]:
            return Targets()
        instances = [sample.gt_instances for sample in data_samples]
        return Targets(
            boxes=[getattr(i.bboxes, 'tensor', i.bboxes) for i in instances],
            box_labels=[i.labels for i in instances],
            mask_structures=[i.masks for i in instances]
            if all('masks' in i for i in instances)
            else None,
            input_size=data_samples[0].metainfo.get('batch_input_shape'),
            image_sizes=image_sizes(data_samples),
            sample_ids=sample_ids(data_samples),
        )

    def classes(self, model: nn.Module) -> int | None:
        """Those of the box head, or else of the mask head."""
        heads = [
            getattr(getattr(model, 'roi_head', None), 'bbox_head', None),
            getattr(model, 'bbox_head', None),
            getattr(model, 'mask_head', None),
        ]
        return next((n for n in map(classes_of, heads) if n is not None), None)

    def players(self, model: nn.Module) -> dict[str, Player]:
        """Class scores of the regions or of the dense head, the stages, the pyramid."""
        found = super().players(model)
        if getattr(model, 'neck', None) is not None:
            found['pyramid'] = 'neck'
        if hasattr(getattr(model, 'roi_head', None), 'bbox_head'):
            found['logits'] = f'{last_of(model, "roi_head.bbox_head")}[0]'
        elif hasattr(model, 'bbox_head'):
            found['logits'] = 'bbox_head[0]'
        return found

    def needs(self, student: nn.Module, paths: Sequence[str]) -> list[str]:
        """The student's sampled regions, where a RoI head of the teacher is tapped."""
        taps = []
        for kind, (_, extractor) in _ROI.items():
            if _stages(paths, kind):
                roi_head = getattr(student, 'roi_head', None)
                found = getattr(roi_head, extractor.rpartition('.')[2], None)
                if found is None:
                    raise ValueError(
                        f"A term taps the teacher's {kind} RoI head, which is run on "
                        f'the regions of the student; but {type(student).__name__} '
                        f"has no '{extractor}'."
                    )
                count = len(found) if isinstance(found, nn.ModuleList) else None
                names = [f'.{i}' for i in range(count)] if count else ['']
                taps += [f'{extractor}{name}:input.1' for name in names]
        return taps

    def run(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Samples | None,
        paths: Sequence[str],
        student: Recorder | None = None,
    ) -> None:
        """Backbone and neck; dense heads and RoI heads only where they are tapped."""
        tops = modules_of(paths)
        heads = {'rpn_head', 'bbox_head', 'mask_head', 'roi_head'}
        if not tops <= {'backbone', 'neck', *heads}:
            model(inputs, data_samples, mode='tensor')
            return
        features = model.extract_feat(inputs)
        for top in tops & heads - {'roi_head'}:
            getattr(model, top).forward(features)
        for kind, (method, _) in _ROI.items():
            for stage in _stages(paths, kind):
                rois = _student_rois(kind, stage, student, inputs)
                place = () if stage is None else (stage,)
                getattr(model.roi_head, method)(*place, features, rois)

    def example(
        self, size: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Samples]:
        """Two black images without objects."""
        from mmdet.structures import DetDataSample
        from mmengine.structures import InstanceData

        inputs, samples = super().example(size, device)[0], []
        for _ in inputs:
            meta = dict(
                img_shape=size,
                batch_input_shape=size,
                pad_shape=size,
                ori_shape=size,
                scale_factor=(1.0, 1.0),
            )
            sample = DetDataSample(metainfo=meta)
            sample.gt_instances = InstanceData(
                bboxes=torch.zeros(0, 4, device=device),
                labels=torch.zeros(0, dtype=torch.long, device=device),
            )
            samples.append(sample)
        return inputs, samples

    def task_loss(
        self, student: nn.Module, output: Any, data_samples: Samples
    ) -> dict[str, Tensor]:
        """The losses of the student's heads on other features than its own."""
        with mock.patch.object(student, 'extract_feat', lambda _: output):
            losses: dict[str, Tensor] = student.loss(None, data_samples)
        return losses


def _stages(paths: Sequence[str], kind: str) -> list[int | None]:
    """Which stages of the RoI heads are tapped; None is a head without stages."""
    found: set[int | None] = set()
    for path in paths:
        match = re.match(rf'roi_head\.{kind}_(?:head|roi_extractor)(?:\.(\d+))?', path)
        if match:
            found.add(int(match[1]) if match[1] else None)
    return sorted(found, key=lambda stage: stage or 0)


def _student_rois(
    kind: str, stage: int | None, student: Recorder | None, inputs: Tensor
) -> Tensor:
    """Regions (n, 5) of the batch: those of the student; for a shape check, all."""
    if student is None:
        height, width = inputs.shape[-2:]
        return inputs.new_tensor([[i, 0, 0, width, height] for i in range(len(inputs))])
    extractor = _ROI[kind][1]
    paths = [path for path in student.paths if path.startswith(extractor)]
    staged = f'{extractor}.{stage or 0}:input.1'
    return student[staged if staged in paths else paths[0]][0]
