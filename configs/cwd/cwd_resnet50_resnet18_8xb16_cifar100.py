_base_ = [
    '../_base_/students/resnet18_8xb16_cifar100.py',
    '../_base_/methods/cwd_cls.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='mmpretrain::resnet/resnet50_8xb16_cifar100.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_b16x8_cifar100_20210528-67b58a1b.pth',
    terms=_base_.terms,
)
