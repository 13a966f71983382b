_base_ = [
    '../_base_/models/cifar/mobilenetv2.py',
    '../_base_/datasets/cifar100_repdistiller.py',
    '../_base_/schedules/cifar_repdistiller.py',
    '../_base_/methods/kd_cls.py',
    '../_base_/runtime.py',
]
# RepDistiller: tau 4, 0.9 of the teacher and 0.1 of the labels.
_base_.terms.loss_kd.update(loss=dict(type='mmkd.KD', tau=4.0), weight=0.9)
_base_.model.head.update(loss=dict(type='CrossEntropyLoss', loss_weight=0.1))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/../_base_/models/cifar/resnet50.py',
    # RepDistiller's file, converted: see tools/convert_repdistiller.py.
    teacher_ckpt='checkpoints/repdistiller/resnet50.pth',
    terms=_base_.terms,
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
