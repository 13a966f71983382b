# The baseline, and the student of every method.
_base_ = './_digits.py'
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        stem_channels=6,
        base_channels=6,
        num_stages=3,
        strides=(2, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=24,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
