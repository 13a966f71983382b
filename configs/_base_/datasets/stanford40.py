# Stanford 40 Actions as FRSKD's code reads it: as ImageNet, in batches of 32.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
data_preprocessor = dict(num_classes=40)
train_dataloader = dict(
    dataset=dict(type='mmkd.Stanford40', data_root='data/Stanford40')
)
val_dataloader = dict(
    dataset=dict(type='mmkd.Stanford40', data_root='data/Stanford40', split='test')
)
test_dataloader = dict(
    dataset=dict(type='mmkd.Stanford40', data_root='data/Stanford40', split='test')
)
