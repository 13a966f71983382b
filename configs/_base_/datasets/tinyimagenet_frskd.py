# TinyImageNet as FRSKD's code reads it: crops of 32x32, tested on whole images, 32x32.
data_preprocessor = dict(
    num_classes=200,
    mean=[255 * 0.4802, 255 * 0.4481, 255 * 0.3975],
    std=[255 * 0.2770, 255 * 0.2691, 255 * 0.2821],
    to_rgb=True,
)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        type='mmkd.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=32),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(
        type='mmkd.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='val',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=32),
            dict(type='PackInputs'),
        ],
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
