# The baseline, and the student of every method: PSPNet on scenes of digits.
_base_ = ['mmseg::_base_/models/pspnet_r50-d8.py', './_data.py', '../_runtime.py']
default_scope = 'mmseg'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(96, 96), test_cfg=dict(size=(96, 96))),
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 1, 1),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_channels=128,
        channels=32,
        num_classes=11,
        norm_cfg=norm_cfg,
        dropout_ratio=0.0,
        loss_decode=dict(class_weight=[1.0] * 10 + [0.05]),
    ),
    auxiliary_head=dict(
        in_channels=64,
        channels=8,
        num_classes=11,
        norm_cfg=norm_cfg,
        dropout_ratio=0.0,
        loss_decode=dict(class_weight=[1.0] * 10 + [0.05]),
    ),
)
