# CIFAR-100 as RepDistiller reads it (dataset/cifar100.py, train_student.py): with
# mmpretrain's crop and flip, but other batches, mean and std.
_base_ = 'mmpretrain::_base_/datasets/cifar100_bs16.py'
data_preprocessor = dict(
    mean=[255 * 0.5071, 255 * 0.4867, 255 * 0.4408],
    std=[255 * 0.2675, 255 * 0.2565, 255 * 0.2761],
)
train_dataloader = dict(batch_size=64, num_workers=8)
val_dataloader = dict(batch_size=32, num_workers=4)
test_dataloader = dict(batch_size=32, num_workers=4)
