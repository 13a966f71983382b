_base_ = [
    '../_base_/students/resnet18_8xb16_cifar100.py',
    '../_base_/methods/frskd_cls.py',
    '../_base_/runtime.py',
]
# The authors' recipe.
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = dict(milestones=[100, 150], gamma=0.1)
# The authors' ablation: FitNet's loss for loss_at. RECONSTRUCTION: the weight.
_base_.terms.loss_at.update(
    connector=dict(type='mmkd.Align', bias=False, norm=True, relu=True, always=True),
    loss=dict(type='mmkd.MSE'),
    weight=100.0,
)
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
