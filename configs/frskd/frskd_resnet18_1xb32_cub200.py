_base_ = [
    '../_base_/students/resnet18_1xb32_cub200.py',
    '../_base_/methods/frskd_cls.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: both weights.
_base_.terms.loss_kd.weight, _base_.terms.loss_at.weight = 1.0, 200.0
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
