_base_ = [
    'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    '../_base_/methods/letkd_cls.py',
    '../_base_/runtime.py',
]
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/resnet34_in1k.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/resnet34_in1k.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='mmpretrain::resnet/resnet34_8xb32_in1k.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth',
    terms=_base_.terms,
)
