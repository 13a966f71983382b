_base_ = [
    '../_base_/models/cifar/resnet20.py',
    '../_base_/datasets/cifar100_repdistiller.py',
    '../_base_/schedules/cifar_repdistiller.py',
    '../_base_/methods/letkd_cls.py',
    '../_base_/runtime.py',
]
del _base_.student.layers['intermediate'], _base_.terms['loss_intermediate']  # letKD-1
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/resnet56_cifar100.pth'
optim_wrapper = dict(optimizer=dict(nesterov=True))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/models/cifar/resnet56.py',
    teacher_ckpt='checkpoints/repdistiller/resnet56.pth',
    terms=_base_.terms,
)
