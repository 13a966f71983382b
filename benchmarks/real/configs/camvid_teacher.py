# A ResNet-50 with wide heads, and twice the iterations.
_base_ = './camvid.py'
model = dict(
    backbone=dict(depth=50),
    decode_head=dict(in_channels=2048, channels=512),
    auxiliary_head=dict(in_channels=1024, channels=256),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, begin=50, end=2300, eta_min=0, by_epoch=False),
]
train_cfg = dict(max_iters=2300)
