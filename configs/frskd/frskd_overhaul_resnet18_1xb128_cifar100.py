_base_ = [
    '../_base_/students/resnet18_1xb128_cifar100.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# The authors' ablation: the overhaul's loss for loss_at, on what is before the ReLUs on
# both sides. RECONSTRUCTION: the weight is the overhaul's own.
_base_.cls.terms.loss_at.update(
    student=[f'backbone.layer{i}.-1.relu:input@-1' for i in range(1, 5)],
    teacher=['pyramid.0.top_down.0', *(f'pyramid.0.bottom_up.{i}' for i in range(3))],
    connector=dict(type='mmkd.Align', bias=False, norm=True, always=True),
    loss=dict(type='mmkd.OFD'),
    weight=1e-3,
)
model = dict(_base_.cls, _delete_=True, student=_base_.model)
