# ResNet-50 with a 3x3 stem, which is mmpretrain's; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=50, zero_init_residual=False),
    head=dict(in_channels=2048, init_cfg=None),
)
