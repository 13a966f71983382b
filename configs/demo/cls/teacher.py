# Six times the channels of the student, and twice its epochs.
_base_ = './student.py'
model = dict(
    backbone=dict(stem_channels=24, base_channels=24), head=dict(in_channels=96)
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, end=4, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=4, end=40, T_max=36, convert_to_iter_based=True
    ),
]
train_cfg = dict(max_epochs=40)
