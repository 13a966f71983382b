# MobileNetV2 of half width, letKD's recipe.
# RECONSTRUCTION: weight decay and batch size are CIFAR-100's.
_base_ = [
    '../models/cifar.py',
    '../datasets/tinyimagenet_letkd.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.CifarMobileNetV2', widen_factor=0.5),
    head=dict(num_classes=200, in_channels=1280),
)
optim_wrapper = dict(optimizer=dict(lr=0.01, nesterov=True))
