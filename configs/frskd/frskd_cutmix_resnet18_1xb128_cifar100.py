_base_ = [
    '../_base_/students/resnet18_1xb128_cifar100.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
model = dict(
    _base_.cls,
    _delete_=True,
    student=dict(
        _base_.model,
        train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)),  # in every batch
        head=dict(_base_.model.head, loss=dict(type='CrossEntropyLoss', use_soft=True)),
    ),
)
