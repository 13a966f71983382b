# Data, schedule and runtime; demo/data.py draws the scenes.
data_root = '{{$DEMO_DATA:demo_runs/data}}/scenes/coco/'
classes = tuple('0123456789')
read = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
pack = dict(
    type='PackDetInputs',
    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
)
# A picture of 96x96 is read at once: processes that read ahead would cost more.
loader = dict(num_workers=0, persistent_workers=False)
dataset = dict(type='CocoDataset', data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    **loader,
    batch_size=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=[*read, pack],
    ),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=[*read, dict(type='Resize', scale=(96, 96)), pack],
    ),
)
test_dataloader = dict(
    val_dataloader,
    dataset=dict(
        val_dataloader['dataset'],
        ann_file='annotations/instances_test.json',
        data_prefix=dict(img='test/'),
    ),
)
val_evaluator = dict(
    type='CocoMetric',
    metric='bbox',
    ann_file=f'{data_root}annotations/instances_val.json',
)
test_evaluator = dict(
    type='CocoMetric',
    metric='bbox',
    ann_file=f'{data_root}annotations/instances_test.json',
)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', T_max=8, end=8, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=2)
val_cfg = dict()
test_cfg = dict()
