_base_ = [
    '../_base_/students/resnet18_8xb16_cifar100.py',
    '../_base_/methods/frskd_cls.py',
    '../_base_/runtime.py',
]
# The authors' recipe; each term's other half is in the self-teacher, on rotations.
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = dict(milestones=[100, 150], gamma=0.1)
model = dict(
    _base_.distiller,
    _delete_=True,
    student=_base_.model,
    teacher=dict(type='mmkd.FRSKDSLATeacher', kd_weight=1.0, at_weight=80.0),
    terms=dict(
        loss_kd=dict(_base_.terms.loss_kd, weight=1.0),
        loss_at=dict(_base_.terms.loss_at, weight=20.0),
    ),
)
