# A classifier of small images. A recipe says which backbone, how wide its last map is,
# and init_cfg=None where the linear layer starts as torch has it.
model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100),
)
