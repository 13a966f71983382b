_base_ = [
    'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    '../_base_/methods/letkd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: places and tau; batch size and pipeline are mmpretrain's.
_base_.cls.terms.loss_intermediate.loss.codebook = 'codebooks/resnet34_in1k.pth'
_base_.cls.terms.loss_penultimate.loss.codebook = 'codebooks/resnet34_in1k.pth'
model = dict(
    _base_.cls,
    _delete_=True,
    student=dict(_base_.model, **_base_.cls.student, of='ImageClassifier'),
    teacher='mmpretrain::resnet/resnet34_8xb32_in1k.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth',
)
optim_wrapper = dict(optimizer=dict(nesterov=True))
