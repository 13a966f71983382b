# Data, schedule and runtime; demo/data.py makes the images.
default_scope = 'mmpretrain'
data_root = '{{$DEMO_DATA:demo_runs/data}}/cls/'
data_preprocessor = dict(num_classes=10, mean=[76.5] * 3, std=[63.75] * 3)

train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32, padding=3, padding_mode='edge'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    ),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], data_prefix='test')
)
val_evaluator = dict(type='Accuracy', topk=1)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.03, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, end=4, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=4, end=20, T_max=16, convert_to_iter_based=True
    ),
]
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=12),
    # mmengine deletes the oldest before it writes the newest: with two, one is whole.
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
)
# Processes that read images ahead do not pay for images of 32x32 pixels.
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
randomness = dict(seed=0)
