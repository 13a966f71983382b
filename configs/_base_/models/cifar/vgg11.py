# VGG-11 with BatchNorm and one linear layer.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CifarVGG', depth=11),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=512),
)
