_base_ = [
    '../_base_/models/cifar/wrn_40_1.py',
    '../_base_/datasets/cifar100_repdistiller.py',
    '../_base_/schedules/cifar_repdistiller.py',
    '../_base_/methods/sakd_cls.py',
    '../_base_/runtime.py',
]
_base_.terms.loss_match.update(student=[f'backbone.stages.{i}' for i in range(3)])
_base_.terms.loss_branch.update(student=_base_.terms.loss_match.student)
_base_.terms.loss_branch.loss.update(recipe=dict(epochs=100))
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/../_base_/models/cifar/wrn_40_2.py',
    # RepDistiller's file, converted: see tools/convert_repdistiller.py.
    teacher_ckpt='checkpoints/repdistiller/wrn_40_2.pth',
    terms=_base_.terms,
)
