_base_ = [
    '../_base_/students/resnet18_8xb16_cifar100.py',
    '../_base_/methods/frskd_cls.py',
    '../_base_/runtime.py',
]
# The authors' recipe.
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = dict(milestones=[100, 150], gamma=0.1)
# The authors' ablation: the overhaul's loss for loss_at, on what is before the
# self-teacher's ReLUs. RECONSTRUCTION: the weight is the overhaul's own; what is read
# of the student is behind its ReLUs.
_base_.terms.loss_at.update(
    teacher=['pyramid.0.top_down.0', *(f'pyramid.0.bottom_up.{i}' for i in range(3))],
    connector=dict(type='mmkd.Align', bias=False, norm=True, always=True),
    loss=dict(type='mmkd.OFD'),
    weight=1e-3,
)
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
