_base_ = [
    '../_base_/students/resnet18_8xb16_cifar100.py',
    '../_base_/methods/kd_cls.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='mmpretrain::resnet/resnet50_8xb16_cifar100.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_b16x8_cifar100_20210528-67b58a1b.pth',
    # As the code of SemCKD and SimKD: tau 4, both losses with weight 1.
    terms=dict(
        loss_kd=dict(
            _base_.terms.loss_kd, loss=dict(type='mmkd.KD', tau=4.0), weight=1.0
        )
    ),
)
