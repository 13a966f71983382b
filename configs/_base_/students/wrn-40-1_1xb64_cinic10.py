# WRN-40-1 on CINIC-10. RECONSTRUCTION: the recipe is RepDistiller's for CIFAR-100.
_base_ = [
    '../models/cifar.py',
    '../datasets/cinic10.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.WideResNet', depth=40, widen_factor=1),
    head=dict(num_classes=10, in_channels=64, init_cfg=None),
)
