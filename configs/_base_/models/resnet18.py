# ResNet-18 without mmpretrain's zero initialisation, as in FRSKD's code.
_base_ = 'mmpretrain::_base_/models/resnet18.py'
model = dict(backbone=dict(zero_init_residual=False))
