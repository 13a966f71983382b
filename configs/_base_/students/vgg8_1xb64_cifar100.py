# VGG-8 with BatchNorm and one linear layer; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.CifarVGG', depth=8),
    head=dict(in_channels=512),
)
