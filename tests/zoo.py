"""Small real models of mmpretrain, mmdet and mmseg, and batches for them.

They are upstream's own configs with fewer channels, so every code path is the real one.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmkd.build import build_model, read_config
from mmkd.registry import MODELS

KINDS = ('cls', 'faster_rcnn', 'mask_rcnn', 'retinanet', 'pspnet')

_UPSTREAM = {
    'cls': 'mmpretrain::resnet/resnet18_8xb16_cifar10.py',
    'faster_rcnn': 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'mask_rcnn': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'retinanet': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'pspnet': 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
}
CLASSES = 5


def student(kind: str, width: int = 4, depth: int = 18) -> dict[str, Any]:
    """Config of a small model; ``width`` is the channels of its first stage."""
    return copy.deepcopy(_student(kind, width, depth))


@cache
def _student(kind: str, width: int, depth: int) -> dict[str, Any]:
    if kind == 'cifar':
        return _cifar(width)
    file = read_config(_UPSTREAM[kind])
    model = file.model
    model._scope_ = file.default_scope
    if file.get('data_preprocessor') is not None:
        model.data_preprocessor = file.data_preprocessor
    model.backbone.update(depth=depth, base_channels=width, init_cfg=None)
    if kind in ('cls', 'pspnet'):
        model.backbone.stem_channels = width
    model.pop('pretrained', None)
    widths = [width * 2**i for i in range(4)]
    if kind == 'cls':
        model.head.update(in_channels=widths[-1], num_classes=CLASSES)
        model.data_preprocessor.num_classes = CLASSES
        model.head.pop('topk', None)
    elif kind == 'pspnet':
        _shrink_seg(model, widths)
    else:
        _shrink_det(model, widths)
    config: dict[str, Any] = model.to_dict()
    return config


def _cifar(width: int) -> dict[str, Any]:
    """A ResNet-8 as the papers have it for small images, in three stages."""
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=4 * width)
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        data_preprocessor=dict(num_classes=CLASSES, mean=[127.5] * 3, std=[64.0] * 3),
        backbone=dict(
            type='mmkd.CifarResNet',
            depth=8,
            widths=(width, width, 2 * width, 4 * width),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(head, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    )


def _shrink_seg(model: Config, widths: list[int]) -> None:
    model.data_preprocessor.size = (64, 64)
    norm = dict(type='BN')
    model.backbone.norm_cfg = norm
    for head, width in (('decode_head', widths[3]), ('auxiliary_head', widths[2])):
        model[head].update(
            in_channels=width, channels=8, num_classes=CLASSES, norm_cfg=norm
        )


def _shrink_det(model: Config, widths: list[int]) -> None:
    model.backbone.stem_channels = widths[0]
    model.backbone.frozen_stages = 0
    model.neck.update(in_channels=widths, out_channels=8)
    if 'roi_head' not in model:
        model.bbox_head.update(
            in_channels=8, feat_channels=8, stacked_convs=1, num_classes=CLASSES
        )
        return
    model.rpn_head.update(in_channels=8, feat_channels=8)
    roi_head = model.roi_head
    roi_head.bbox_roi_extractor.out_channels = 8
    roi_head.bbox_head.update(in_channels=8, fc_out_channels=16, num_classes=CLASSES)
    if 'mask_head' in roi_head:
        roi_head.mask_roi_extractor.out_channels = 8
        roi_head.mask_head.update(
            in_channels=8, conv_out_channels=8, num_convs=1, num_classes=CLASSES
        )
    model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=20)
    model.train_cfg.rcnn.sampler.num = 16
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    model.test_cfg.rcnn.max_per_img = 10


def batch(kind: str, seed: int = 0, count: int = 2) -> dict[str, Any]:
    """What a dataloader gives: raw images and samples with ground truth."""
    torch.manual_seed(seed)
    if kind in ('cls', 'cifar'):
        from mmpretrain.structures import DataSample

        images = [torch.randint(0, 256, (3, 32, 32)) for _ in range(count)]
        samples = [
            DataSample(metainfo=dict(img_shape=(32, 32), sample_idx=i)).set_gt_label(
                i % CLASSES
            )
            for i in range(count)
        ]
    elif kind == 'pspnet':
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        images = [torch.randint(0, 256, (3, 64, 64)) for _ in range(count)]
        samples = []
        for _ in range(count):
            sample = SegDataSample(
                metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64))
            )
            labels = torch.randint(0, CLASSES, (1, 64, 64))
            labels[:, :8] = 255
            sample.gt_sem_seg = PixelData(data=labels)
            samples.append(sample)
    else:
        from mmdet.testing import demo_mm_inputs

        inputs: dict[str, Any] = demo_mm_inputs(
            count,
            [[3, 96, 64]] * count,
            num_items=[3] * count,
            num_classes=CLASSES,
            with_mask=kind == 'mask_rcnn',
        )
        return inputs
    return {'inputs': images, 'data_samples': samples}


# A term that suits each kind, with a connector and without.
TERMS: dict[str, dict[str, Any]] = {
    'cls': dict(
        loss_kd=dict(student='head.fc', loss=dict(type='mmkd.KD')),
        loss_cwt=dict(
            student='backbone[-1]',
            connector=dict(type='mmkd.CWT'),
            loss=dict(type='mmkd.MSE', reduction='batch'),
            weight=1e-3,
        ),
    ),
    'pspnet': dict(
        loss_kd=dict(student='decode_head.conv_seg', loss=dict(type='mmkd.KD')),
        loss_cwt=dict(
            student='backbone[-1]',
            connector=dict(type='mmkd.CWT'),
            loss=dict(type='mmkd.MSE'),
        ),
    ),
    'retinanet': dict(
        loss_kd=dict(student='bbox_head[0]', loss=dict(type='mmkd.BinaryKD')),
        loss_cwd=dict(
            student='neck',
            connector=dict(type='mmkd.Align', always=True),
            loss=dict(type='mmkd.CWD'),
        ),
    ),
    'faster_rcnn': dict(
        loss_kd=dict(student='roi_head.bbox_head[0]', loss=dict(type='mmkd.KD')),
        loss_cwt=dict(
            student=[f'neck.fpn_convs.{i}.conv' for i in range(4)],
            connector=dict(type='mmkd.CWT'),
            loss=dict(type='mmkd.MSE', reduction='batch'),
            weight=1e-3,
        ),
    ),
}
TERMS['mask_rcnn'] = dict(
    TERMS['faster_rcnn'],
    loss_kd_mask=dict(
        student='roi_head.mask_head',
        loss=dict(type='mmkd.BinaryKD'),
    ),
)


def distiller(kind: str, weight: float | None = None, **settings: Any) -> Any:
    """A small student with a wider teacher; ``weight`` is every term's."""
    terms = settings.pop('terms', TERMS[kind])
    if weight is not None:
        terms = {key: {**term, 'weight': weight} for key, term in terms.items()}
    config: dict[str, Any] = dict(
        type='mmkd.Distiller',
        student=student(kind),
        teacher=student(kind, width=8),
        teacher_ckpt='random',
        terms=terms,
    )
    return MODELS.build({**config, **settings})


def plain(kind: str) -> Any:
    """The student alone."""
    return build_model(student(kind), 'student')


def optimizer(model: torch.nn.Module, **settings: Any) -> OptimWrapper:
    """SGD with momentum and weight decay."""
    sgd = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    return OptimWrapper(sgd, **settings)
