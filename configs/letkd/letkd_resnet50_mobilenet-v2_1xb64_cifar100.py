_base_ = [
    '../_base_/models/cifar/mobilenetv2.py',
    '../_base_/datasets/cifar100_repdistiller.py',
    '../_base_/schedules/cifar_repdistiller.py',
    '../_base_/methods/letkd_cls.py',
    '../_base_/runtime.py',
]
_base_.student.layers.intermediate.update(after='backbone.stages.3.0.0', templates=800)
[x.update(alpha=a) for x, a in zip(_base_.student.layers.values(), (0.2, 0.1))]
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/resnet50_cifar100_half.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/resnet50_cifar100_half.pth'
optim_wrapper = dict(optimizer=dict(lr=0.01, nesterov=True))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/models/cifar/resnet50.py',
    teacher_ckpt='checkpoints/repdistiller/resnet50.pth',
    terms=_base_.terms,
)
