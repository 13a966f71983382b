# MobileNetV2 of half width.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CifarMobileNetV2', widen_factor=0.5),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=1280),
)
