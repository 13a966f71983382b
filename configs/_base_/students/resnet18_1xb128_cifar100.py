# ResNet-18 with a 3x3 stem, FRSKD's recipe; all layers start as torch has them.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_frskd.py',
    '../schedules/frskd_200e.py',
]
model = dict(
    backbone=dict(
        type='ResNet_CIFAR', depth=18, zero_init_residual=False, init_cfg=None
    ),
    head=dict(in_channels=512, init_cfg=None),
)
