_base_ = [
    '../_base_/students/wrn-40-1_1xb64_cinic10.py',
    '../_base_/methods/sakd_cls.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: the pair, and all numbers, which are CIFAR-100's.
_base_.terms.loss_match.update(student=[f'backbone.stages.{i}' for i in range(3)])
_base_.terms.loss_branch.update(student=_base_.terms.loss_match.student)
_base_.terms.loss_branch.loss.update(recipe=dict(epochs=100))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/../_base_/students/wrn-40-2_1xb64_cinic10.py',
    teacher_ckpt='checkpoints/cinic10/wrn-40-2.pth',
    terms=_base_.terms,
)
