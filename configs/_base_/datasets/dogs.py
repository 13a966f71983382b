# Stanford Dogs as FRSKD's code reads it: as ImageNet, in batches of 32.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
data_preprocessor = dict(num_classes=120)
train_dataloader = dict(
    dataset=dict(type='mmkd.StanfordDogs', data_root='data/StanfordDogs')
)
val_dataloader = dict(
    dataset=dict(type='mmkd.StanfordDogs', data_root='data/StanfordDogs', split='test')
)
test_dataloader = dict(
    dataset=dict(type='mmkd.StanfordDogs', data_root='data/StanfordDogs', split='test')
)
