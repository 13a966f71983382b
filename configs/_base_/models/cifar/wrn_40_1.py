# WRN-40-1.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.WideResNet', depth=40, widen_factor=1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=64, init_cfg=None),
)
