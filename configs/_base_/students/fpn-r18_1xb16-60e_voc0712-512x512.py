# Semantic FPN on a ResNet-18 with FRSKD's recipe for segmentation.
_base_ = [
    'mmseg::_base_/models/fpn_r50.py',
    '../datasets/voc0712_512x512.py',
    '../schedules/frskd_voc_60e.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    pretrained='open-mmlab://resnet18_v1c',
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512]),
    decode_head=dict(num_classes=21),
)
