_base_ = [
    '../_base_/students/mobilenet-v2_1xb64_tinyimagenet.py',
    '../_base_/methods/letkd_cls.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: all numbers are CIFAR-100's.
_base_.student.layers.intermediate.update(after='backbone.stages.3.0.0', templates=1600)
[x.update(alpha=a) for x, a in zip(_base_.student.layers.values(), (0.2, 0.1))]
_base_.terms.loss_intermediate.loss.codebook = (
    'codebooks/resnet50_tinyimagenet_half.pth'
)
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/resnet50_tinyimagenet_half.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/students/resnet50_1xb64_tinyimagenet.py',
    teacher_ckpt='checkpoints/tinyimagenet/resnet50.pth',
    terms=_base_.terms,
)
