_base_ = [
    '../_base_/students/mobilenet-v1_8xb32_in1k.py',
    '../_base_/methods/letkd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: places and tau; batch size and pipeline are mmpretrain's.
_base_.cls.student.layers.intermediate.after = 'backbone.stages.4.0'
_base_.cls.terms.loss_intermediate.loss.codebook = 'codebooks/resnet50_in1k.pth'
_base_.cls.terms.loss_penultimate.loss.codebook = 'codebooks/resnet50_in1k.pth'
model = dict(
    _base_.cls,
    _delete_=True,
    student=dict(_base_.model, **_base_.cls.student, of='ImageClassifier'),
    teacher='mmpretrain::resnet/resnet50_8xb32_in1k.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth',
)
optim_wrapper = dict(optimizer=dict(nesterov=True))
