# MobileNetV1.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.MobileNetV1'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1024, topk=(1, 5)),
)
