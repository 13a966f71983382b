# Twice the channels of the student, and twice its epochs.
_base_ = './student.py'
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    decode_head=dict(in_channels=256, channels=64),
    auxiliary_head=dict(in_channels=128, channels=24),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', T_max=20, end=20, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=20)
