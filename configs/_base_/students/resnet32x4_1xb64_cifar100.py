# ResNet-32, four times as wide; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.CifarResNet', depth=32, widths=(32, 64, 128, 256)),
    head=dict(in_channels=256, init_cfg=None),
)
