# ShuffleNetV1 with three groups.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CifarShuffleNetV1'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=960, init_cfg=None),
)
