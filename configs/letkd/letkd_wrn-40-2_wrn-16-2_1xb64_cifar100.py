_base_ = [
    '../_base_/models/cifar/wrn_16_2.py',
    '../_base_/datasets/cifar100_repdistiller.py',
    '../_base_/schedules/cifar_repdistiller.py',
    '../_base_/methods/letkd_cls.py',
    '../_base_/runtime.py',
]
_base_.student.layers.intermediate.update(after='backbone.stages.2.0', templates=800)
_base_.terms.loss_intermediate.teacher = 'backbone.stages.2.0'
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/wrn-40-2_cifar100.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/wrn-40-2_cifar100.pth'
optim_wrapper = dict(optimizer=dict(nesterov=True))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/models/cifar/wrn_40_2.py',
    teacher_ckpt='checkpoints/repdistiller/wrn_40_2.pth',
    terms=_base_.terms,
)
