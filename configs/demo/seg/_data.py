# Data, schedule and runtime; demo/data.py draws the scenes.
data_root = '{{$DEMO_DATA:demo_runs/data}}/scenes/cityscapes/'
classes = (*'0123456789', 'background')
palette = [
    [166, 206, 227], [31, 120, 180], [178, 223, 138], [51, 160, 44], [251, 154, 153],
    [227, 26, 28], [253, 191, 111], [255, 127, 0], [202, 178, 214], [106, 61, 154],
    [60, 60, 60],
]  # fmt: skip
read = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
pack = dict(type='PackSegInputs')
# A picture of 96x96 is read at once: processes that read ahead would cost more.
loader = dict(num_workers=0, persistent_workers=False)
dataset = dict(
    type='BaseSegDataset',  # CityscapesDataset knows no other classes than its own
    img_suffix='_leftImg8bit.png',
    seg_map_suffix='_gtFine_labelTrainIds.png',
    data_root=data_root,
    metainfo=dict(classes=classes, palette=palette),
)
train_dataloader = dict(
    **loader,
    batch_size=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=[*read, pack],
    ),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=[*read, pack],
    ),
)
test_dataloader = dict(
    val_dataloader,
    dataset=dict(
        val_dataloader['dataset'],
        data_prefix=dict(img_path='leftImg8bit/test', seg_map_path='gtFine/test'),
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', T_max=10, end=10, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=2)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=12),
    # mmengine deletes the oldest before it writes the newest: with two, one is whole.
    checkpoint=dict(type='CheckpointHook', interval=2, max_keep_ckpts=2),
)
log_processor = dict(by_epoch=True)
