# WRN-40-1, letKD's recipe.
# RECONSTRUCTION: weight decay and batch size are CIFAR-100's.
_base_ = [
    '../models/cifar.py',
    '../datasets/tinyimagenet_letkd.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.WideResNet', depth=40, widen_factor=1),
    head=dict(num_classes=200, in_channels=64, init_cfg=None),
)
optim_wrapper = dict(optimizer=dict(nesterov=True))
