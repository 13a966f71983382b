# FRSKD's network for segmentation, in the authors' form: EfficientNet-B0, a pyramid and
# three BiFPNs. Theirs for the B1 has 88 channels and for the B2 112.
# Not as there: levels are read at the ends of the stages (P4 has 112 channels and not
# 80), the stem has its activation, and the head's last convolution is 1x1 and not 3x3.
_base_ = ['../datasets/voc0712_512x512.py', '../schedules/frskd_voc_60e.py']
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    ),
    backbone=dict(
        type='mmpretrain.EfficientNet',
        arch='b0',
        out_indices=(2, 3, 4, 5),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/efficientnet/efficientnet-b0_3rdparty_8xb32_in1k_20220119-a7e2a0b1.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(type='mmkd.FRSKDNeck', in_channels=[24, 40, 112, 320], out_channels=64),
    decode_head=dict(
        type='FCNHead',
        in_index=0,
        in_channels=64,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=21,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
