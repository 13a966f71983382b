# All the channels, and fifteen epochs.
_base_ = './cifar10.py'
model = dict(
    backbone=dict(stem_channels=64, base_channels=64), head=dict(in_channels=512)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=2, end=15, T_max=13, convert_to_iter_based=True
    ),
]
train_cfg = dict(max_epochs=15)
