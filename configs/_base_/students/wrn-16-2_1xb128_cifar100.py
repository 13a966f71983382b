# WRN-16-2, FRSKD's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_frskd.py',
    '../schedules/frskd_200e.py',
]
model = dict(
    backbone=dict(type='mmkd.WideResNet', depth=16, widen_factor=2),
    head=dict(in_channels=128, init_cfg=None),
)
