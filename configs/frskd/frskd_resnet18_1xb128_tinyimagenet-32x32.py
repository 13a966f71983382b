_base_ = [
    '../_base_/students/resnet18_1xb128_tinyimagenet-32x32.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: both weights.
_base_.cls.terms.loss_kd.weight, _base_.cls.terms.loss_at.weight = 3.0, 100.0
model = dict(_base_.cls, _delete_=True, student=_base_.model)
