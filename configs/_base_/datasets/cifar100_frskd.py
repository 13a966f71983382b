# CIFAR-100 as FRSKD's code reads it: in batches of 128, with the usual mean and std.
_base_ = 'mmpretrain::_base_/datasets/cifar100_bs16.py'
data_preprocessor = dict(
    mean=[255 * 0.4914, 255 * 0.4822, 255 * 0.4465],
    std=[255 * 0.2023, 255 * 0.1994, 255 * 0.2010],
)
train_dataloader = dict(batch_size=128, num_workers=8)
val_dataloader = dict(batch_size=128, num_workers=4)
test_dataloader = dict(batch_size=128, num_workers=4)
