# CUB-200-2011 as FRSKD's code reads it: as ImageNet, in batches of 32.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dict(type='CUB', data_root='data/CUB_200_2011'))
val_dataloader = dict(
    dataset=dict(type='CUB', data_root='data/CUB_200_2011', split='test')
)
test_dataloader = dict(
    dataset=dict(type='CUB', data_root='data/CUB_200_2011', split='test')
)
