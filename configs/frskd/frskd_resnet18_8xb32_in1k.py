_base_ = [
    'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    '../_base_/methods/frskd_cls.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: the paper's width, weights and schedule for ImageNet are not known.
model = dict(
    _base_.distiller,
    _delete_=True,
    student=_base_.model,
    teacher=dict(_base_.distiller.teacher, width=1.0),
    terms=dict(
        loss_kd=dict(_base_.terms.loss_kd, weight=1.0), loss_at=_base_.terms.loss_at
    ),
)
