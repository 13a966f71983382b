# ResNet-56 for CIFAR.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CifarResNet', depth=56),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=64, init_cfg=None),
)
