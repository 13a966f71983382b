_base_ = [
    '../_base_/students/resnet18_1xb128_cifar100.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# Each term's other half is in the self-teacher, on rotations.
_base_.cls.terms.loss_kd.weight, _base_.cls.terms.loss_at.weight = 1.0, 20.0
model = dict(
    _base_.cls,
    _delete_=True,
    student=_base_.model,
    teacher=dict(type='mmkd.FRSKDSLATeacher', kd_weight=1.0, at_weight=80.0),
)
