_base_ = [
    '../_base_/students/mobilenet-v1_8xb32_in1k.py',
    '../_base_/methods/kd_cls.py',
    '../_base_/runtime.py',
]
# mdistiller: tau 1, half of the teacher and half of the labels.
_base_.terms.loss_kd.weight = 0.5
_base_.model.head.update(loss=dict(type='CrossEntropyLoss', loss_weight=0.5))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='mmpretrain::resnet/resnet50_8xb32_in1k.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth',
    terms=_base_.terms,
)
