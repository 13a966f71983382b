"""Object detection and instance segmentation with mmdet."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import cache, partial
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
        boxes = [getattr(i.bboxes, 'tensor', i.bboxes) for i in instances]
        masked = all('masks' in i for i in instances)
        return Targets(
            boxes=boxes,
            box_labels=[i.labels for i in instances],
            masks=partial(_masks, instances, boxes) if masked else None,
            input_size=data_samples[0].metainfo.get('batch_input_shape'),
            image_sizes=image_sizes(data_samples),
            indices=indices(data_samples),
        )

    def classes(self, model: nn.Module) -> int | None:
        """Those of the box head, or else of the mask head."""
        heads = [
            getattr(getattr(model, 'roi_head', None), 'bbox_head', None),
            getattr(model, 'bbox_head', None),
            getattr(model, 'mask_head', None),
        ]
        return next((n for n in map(classes_of, heads) if n is not None), None)

    def players(self, model: nn.Module) -> dict[str, Player | Find]:
        """Class scores of the regions or of the dense head, the stages, the pyramid.

        The queries of a DETR are in no order that two models share: they have no role.
        """
        found = super().players(model)
        if getattr(model, 'neck', None) is not None:
            found['pyramid'] = 'neck'
        if hasattr(getattr(model, 'roi_head', None), 'bbox_head'):
            found['logits'] = f'{last_of(model, "roi_head.bbox_head")}[0]'
        elif 'bbox_head' in _dense(model):
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
        try:
            _run(model, inputs, data_samples, paths, student)
        except TypeError as error:  # an argument that only its training step makes
            raise ValueError(
                f'{type(model).__name__} cannot be run for {list(paths)} outside its '
                f'own training step: {error}. Tap what runs before, as the backbone or '
                'the neck.'
            ) from error

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
        with standing_in(student, 'extract_feat', lambda _: output):
            losses: dict[str, Tensor] = student.loss(None, data_samples)
        return losses


def _masks(instances: Sequence[Any], boxes: Sequence[Tensor]) -> list[Tensor]:
    """Per image, instance masks (n, H, W)."""
    return [
        own.masks.to_tensor(torch.bool, known.device)
        for own, known in zip(instances, boxes)
    ]


def _run(
    model: Any,
    inputs: Tensor,
    data_samples: Samples | None,
    paths: Sequence[str],
    student: Recorder | None,
) -> None:
    tops, dense = modules_of(paths), _dense(model)
    if not tops <= {'backbone', 'neck', 'roi_head', *dense}:
        model(inputs, data_samples, mode='tensor')
        return
    features = model.extract_feat(inputs)
    for top in sorted(tops & dense):
        getattr(model, top).forward(features)
    if 'roi_head' not in tops:
        return
    more = {}
    if getattr(model.roi_head, 'semantic_head', None) is not None:  # HTC's
        more['semantic_feat'] = model.roi_head.semantic_head(features)[1]
    for kind, (method, _) in _ROI.items():
        for stage in _stages(paths, kind):
            place = _place(model.roi_head, kind, stage)
            rois = _student_rois(kind, stage, student, inputs)
            getattr(model.roi_head, method)(*place, features, rois, **more)


def _dense(model: nn.Module) -> set[str]:
    """The heads that are run on what the neck gives, and on nothing else."""
    names = ('rpn_head', 'bbox_head', 'mask_head')
    kinds: dict[str, Any] = {n: type(getattr(model, n, None)) for n in names}
    return {name for name, kind in kinds.items() if _takes_features(kind)}


@cache
def _takes_features(kind: Any) -> bool:
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.dense_heads.base_mask_head import BaseMaskHead

    if not issubclass(kind, (BaseDenseHead, BaseMaskHead)):
        return False  # of a DETR: it takes what the decoder makes
    if kind.forward is nn.Module.forward:
        return False  # of a cascade of RPNs, which runs its stages
    try:
        inspect.signature(kind.forward).bind('self', 'features')
    except TypeError:
        return False  # CondInst's masks: of what its boxes have found
    return True


def _place(roi_head: Any, kind: str, stage: int | None) -> tuple[int, ...]:
    """The number of a stage, as the methods of a cascade take it."""
    head = getattr(roi_head, f'{kind}_head')
    if stage is None and isinstance(head, nn.ModuleList):
        name = f'roi_head.{kind}_head'
        raise ValueError(
            f"'{name}' is a cascade of {len(head)} stages: name one, as in "
            f"'{name}.{len(head) - 1}'."
        )
    return () if stage is None else (stage,)


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
    """Regions (n, 5) of the batch: those of the student; for a shape check, all.

    A cascade has others at each stage. A teacher's stage judges those of the same stage
    of the student; a teacher's only head those of the stage that the terms tap.
    """
    if student is None:
        height, width = inputs.shape[-2:]
        whole = inputs.new_zeros(len(inputs), 5)
        whole[:, 0] = torch.arange(len(inputs), device=inputs.device)
        whole[:, 3], whole[:, 4] = width, height
        return whole
    extractor = _ROI[kind][1]
    paths = [path for path in student.paths if path.startswith(extractor)]
    if len(paths) > 1:
        tapped = [p for p in student.paths if p.startswith(f'roi_head.{kind}_head')]
        stages = _stages(tapped, kind) if stage is None else [stage]
        paths = [p for p in paths if p in {f'{extractor}.{i}:input.1' for i in stages}]
        if len(paths) != 1:
            raise ValueError(
                f"The teacher's {kind} RoI head is run on the regions of one stage of "
                f"the student's cascade: tap one there (tapped: {stages})."
            )
    return student[paths[0]][0]
