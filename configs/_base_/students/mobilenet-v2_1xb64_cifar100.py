# MobileNetV2 of half width; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.CifarMobileNetV2', widen_factor=0.5),
    head=dict(in_channels=1280),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
