# WRN-40-1; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.WideResNet', depth=40, widen_factor=1),
    head=dict(in_channels=64, init_cfg=None),
)
