# WRN-40-2.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.WideResNet', depth=40, widen_factor=2),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=128, init_cfg=None),
)
