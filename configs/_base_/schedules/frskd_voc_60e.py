# FRSKD's recipe for VOC segmentation, on one GPU: 16 images, and 32 before a step.
_base_ = 'mmseg::_base_/default_runtime.py'
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    accumulative_counts=2,
    clip_grad=dict(type='value', clip_value=2.0),
)
param_scheduler = dict(type='MultiStepLR', milestones=[40], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=60, val_interval=5)
val_cfg = dict()
test_cfg = dict()
log_processor = dict(by_epoch=True)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=20),
    logger=dict(type='LoggerHook', interval=50),
    visualization=dict(type='SegVisualizationHook'),
)
