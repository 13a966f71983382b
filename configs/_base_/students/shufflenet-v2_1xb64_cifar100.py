# ShuffleNetV2; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.CifarShuffleNetV2', widen_factor=1.0),
    head=dict(in_channels=1024, init_cfg=None),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
