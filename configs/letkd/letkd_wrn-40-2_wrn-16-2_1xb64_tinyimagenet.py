_base_ = [
    '../_base_/students/wrn-16-2_1xb64_tinyimagenet.py',
    '../_base_/methods/letkd_cls.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: all numbers are CIFAR-100's.
_base_.student.layers.intermediate.update(after='backbone.stages.2.0', templates=1600)
_base_.terms.loss_intermediate.teacher = 'backbone.stages.2.0'
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/wrn-40-2_tinyimagenet.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/wrn-40-2_tinyimagenet.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/students/wrn-40-2_1xb64_tinyimagenet.py',
    teacher_ckpt='checkpoints/tinyimagenet/wrn-40-2.pth',
    terms=_base_.terms,
)
