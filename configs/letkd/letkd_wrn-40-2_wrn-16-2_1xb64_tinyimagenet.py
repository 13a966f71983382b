_base_ = [
    '../_base_/students/wrn-16-2_1xb64_tinyimagenet.py',
    '../_base_/methods/letkd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: tau and the number of LDA components are CIFAR-100's.
_base_.cifar.student.layers.intermediate.templates = 1600
_base_.cifar.terms.loss_intermediate.loss.codebook = (
    'codebooks/wrn-40-2_tinyimagenet.pth'
)
_base_.cifar.terms.loss_penultimate.loss.codebook = (
    'codebooks/wrn-40-2_tinyimagenet.pth'
)
model = dict(
    _base_.cifar,
    _delete_=True,
    student=dict(_base_.model, **_base_.cifar.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/students/wrn-40-2_1xb64_tinyimagenet.py',
    teacher_ckpt='checkpoints/tinyimagenet/wrn-40-2.pth',
)
