# MIT67 as FRSKD's code reads it: as ImageNet, in batches of 32.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
data_preprocessor = dict(num_classes=67)
train_dataloader = dict(dataset=dict(type='mmkd.MIT67', data_root='data/MIT67'))
val_dataloader = dict(
    dataset=dict(type='mmkd.MIT67', data_root='data/MIT67', split='test')
)
test_dataloader = dict(
    dataset=dict(type='mmkd.MIT67', data_root='data/MIT67', split='test')
)
