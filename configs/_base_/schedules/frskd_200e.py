# FRSKD's recipe, for all its data sets but ImageNet, on one GPU; batches of 128 on the
# small images.
_base_ = [
    'mmpretrain::_base_/schedules/cifar10_bs128.py',
    'mmpretrain::_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=40))
