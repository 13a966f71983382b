_base_ = [
    '../_base_/students/mobilenet-v2_1xb64_tinyimagenet.py',
    '../_base_/methods/letkd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: tau and the number of LDA components are CIFAR-100's.
_base_.cifar.student.layers.intermediate.update(
    after='backbone.stages.3.0.0', templates=1600, alpha=1.0
)
_base_.cifar.student.layers.penultimate.alpha = 0.5
_base_.cifar.terms.loss_intermediate.loss.codebook = (
    'codebooks/resnet50_tinyimagenet_half.pth'
)
_base_.cifar.terms.loss_penultimate.loss.codebook = (
    'codebooks/resnet50_tinyimagenet_half.pth'
)
model = dict(
    _base_.cifar,
    _delete_=True,
    student=dict(_base_.model, **_base_.cifar.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/students/resnet50_1xb64_tinyimagenet.py',
    teacher_ckpt='checkpoints/tinyimagenet/resnet50.pth',
)
