_base_ = [
    '../_base_/students/wrn-40-1_1xb64_cinic10.py',
    '../_base_/methods/kd_cls.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: tau and weights are RepDistiller's for CIFAR-100.
_base_.terms.loss_kd.update(loss=dict(type='mmkd.KD', tau=4.0), weight=0.9)
_base_.model.head.update(loss=dict(type='CrossEntropyLoss', loss_weight=0.1))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/../_base_/students/wrn-40-2_1xb64_cinic10.py',
    teacher_ckpt='checkpoints/cinic10/wrn-40-2.pth',
    terms=_base_.terms,
)
