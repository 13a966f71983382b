_base_ = [
    '../_base_/students/resnet18_1xb128_cifar100.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# The authors' ablation: FitNet's loss for loss_at. RECONSTRUCTION: the weight.
_base_.cls.terms.loss_at.update(
    connector=dict(type='mmkd.Align', bias=False, norm=True, relu=True, always=True),
    loss=dict(type='mmkd.MSE'),
    weight=100.0,
)
model = dict(_base_.cls, _delete_=True, student=_base_.model)
