# RepDistiller's recipe (train_student.py), on one GPU. MobileNetV2, ShuffleNetV1 and V2
# have lr 0.01. Its numbers are those of the last epoch.
_base_ = 'mmpretrain::_base_/default_runtime.py'
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = dict(type='MultiStepLR', milestones=[150, 180, 210], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=240, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(interval=40))
auto_scale_lr = dict(base_batch_size=64)
