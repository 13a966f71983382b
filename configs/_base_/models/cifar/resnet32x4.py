# ResNet-32, four times as wide.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CifarResNet', depth=32, widths=(32, 64, 128, 256)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=256, init_cfg=None),
)
