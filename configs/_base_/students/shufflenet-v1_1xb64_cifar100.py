# ShuffleNetV1 with three groups; RepDistiller's recipe.
_base_ = [
    '../models/cifar.py',
    '../datasets/cifar100_repdistiller.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(
    backbone=dict(type='mmkd.CifarShuffleNetV1'),
    head=dict(in_channels=960, init_cfg=None),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
