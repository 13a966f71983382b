"""Small models of many kinds, for what depends on how a network is built.

As in zoo.py they are upstream's own configs and classes with fewer channels.
"""

from __future__ import annotations

from typing import Any

import zoo

from mmkd.build import build_model, read_config

NORM = dict(type='GN', num_groups=2)
WIDTHS = [4, 8, 16, 32]
Model = dict[str, Any]


def build(config: Model) -> Any:
    return build_model(config, 'student')


# -- mmpretrain ------------------------------------------------------------------------


def classifier(backbone: Model, width: int, head: Any = 'LinearClsHead') -> Model:
    """Backbone, pooling, head: a type, or a dict with what else it takes."""
    head = dict(type=head) if isinstance(head, str) else head
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(head, num_classes=zoo.CLASSES, in_channels=width),
    )


def unpooled(backbone: Model, width: int, head: Any = 'LinearClsHead') -> Model:
    """Of a backbone that pools by itself."""
    return dict(classifier(backbone, width, head), neck=None)


def vit(kind: str, head: Any) -> Model:
    sizes = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)
    backbone = dict(type=kind, img_size=32, patch_size=8, arch=sizes)
    return unpooled(backbone, 16, head)


def swin(size: int = 64) -> Model:
    arch = dict(embed_dims=4, depths=[1] * 4, num_heads=[1] * 4)
    backbone = dict(type='SwinTransformer', img_size=size, arch=arch, window_size=2)
    return classifier(backbone, 32)


# -- mmdet -----------------------------------------------------------------------------


def _detector(file: str) -> Any:
    model = read_config(f'mmdet::{file}').model
    model._scope_ = 'mmdet'
    model.pop('pretrained', None)
    model.backbone.update(
        depth=18, base_channels=4, stem_channels=4, init_cfg=None, frozen_stages=0
    )
    return model


def dense(file: str, norm: Any = NORM) -> Model:
    """A one-stage detector, or CondInst."""
    model = _detector(file)
    model.neck.update(in_channels=WIDTHS, out_channels=8)
    norm = {} if norm is None else dict(norm_cfg=norm)
    model.bbox_head.update(
        in_channels=8, feat_channels=8, stacked_convs=1, num_classes=zoo.CLASSES, **norm
    )
    if 'mask_head' in model:  # CondInst's
        model.mask_head.mask_feature_head.update(
            in_channels=8, feat_channels=8, num_stacked_convs=1, norm_cfg=NORM
        )
    config: Model = model.to_dict()
    return config


def cascade(file: str = 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py') -> Model:
    """Cascade R-CNN, or HTC."""
    model = _detector(file)
    model.neck.update(in_channels=WIDTHS, out_channels=8)
    model.rpn_head.update(in_channels=8, feat_channels=8)
    model.train_cfg.rpn_proposal.update(nms_pre=20, max_per_img=10)
    roi_head = model.roi_head
    roi_head.bbox_roi_extractor.out_channels = 8
    for head, train in zip(roi_head.bbox_head, model.train_cfg.rcnn):
        head.update(in_channels=8, fc_out_channels=8, num_classes=zoo.CLASSES)
        train.sampler.num = 8
    for head in roi_head.get('mask_head', ()):
        head.update(in_channels=8, conv_out_channels=8, num_convs=1)
        head.num_classes = zoo.CLASSES
        roi_head.mask_roi_extractor.out_channels = 8
    if 'semantic_head' in roi_head:
        roi_head.semantic_head.update(in_channels=8, conv_out_channels=8, num_classes=3)
        roi_head.semantic_roi_extractor.out_channels = 8
    config: Model = model.to_dict()
    return config


def detr(file: str, widths: list[int]) -> Model:
    """A detector with a transformer of one layer each way, without dropout."""
    model = _detector(file)
    model.neck.update(in_channels=widths, out_channels=8, norm_cfg=None)
    for part in (model.encoder, model.decoder):
        part.num_layers = 1
        for name in ('self_attn_cfg', 'cross_attn_cfg'):
            if name in part.layer_cfg:
                part.layer_cfg[name].update(embed_dims=8, num_heads=2, dropout=0.0)
        part.layer_cfg.ffn_cfg.update(
            embed_dims=8, feedforward_channels=8, ffn_drop=0.0
        )
    model.positional_encoding.num_feats = 4
    model.bbox_head.update(embed_dims=8, num_classes=zoo.CLASSES)
    model.num_queries = 6
    config: Model = model.to_dict()
    return config


# -- mmseg -----------------------------------------------------------------------------


def segmentor(file: str, head: Model, **backbone: Any) -> Model:
    """An encoder-decoder; ``head`` is what its decode head has that is smaller."""
    model = read_config(f'mmseg::{file}').model
    model._scope_ = 'mmseg'
    model.pop('pretrained', None)
    model.data_preprocessor.size = (64, 64)
    model.backbone.update(init_cfg=None, **backbone)
    head = dict(head, channels=8, num_classes=zoo.CLASSES)
    cascaded = isinstance(model.decode_head, list)
    for part in model.decode_head if cascaded else [model.decode_head]:
        own = {key: value for key, value in head.items() if key in part}
        part.update(own)
    model.pop('auxiliary_head', None)
    config: Model = _unsynced(model.to_dict())
    return config


def _unsynced(value: Any) -> Any:
    """With BatchNorm of one device."""
    if isinstance(value, dict):
        return {key: _unsynced(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_unsynced(item) for item in value)
    return 'BN' if value == 'SyncBN' else value


def ocrnet() -> Model:
    file = 'ocrnet/ocrnet_hr18s_4xb2-40k_cityscapes-512x1024.py'
    extra = read_config(f'mmseg::{file}').model.backbone.extra.to_dict()
    for i, stage in enumerate(extra.values()):
        stage.update(num_modules=1, num_blocks=(1,) * max(1, i + 1))
        stage['num_channels'] = (8,) if i == 0 else tuple(WIDTHS[: i + 1])
    extra['stage1']['num_blocks'] = (1,)
    return segmentor(file, dict(in_channels=WIDTHS, ocr_channels=4), extra=extra)
