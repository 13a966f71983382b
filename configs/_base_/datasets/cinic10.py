# CINIC-10: trained on its training set, tested on its test set; mean and std are the
# authors' (github.com/BayesWatch/cinic-10).
# RECONSTRUCTION: batch size and augmentation, as RepDistiller's for CIFAR-100.
data_preprocessor = dict(
    num_classes=10,
    mean=[255 * 0.47889522, 255 * 0.47227842, 255 * 0.43047404],
    std=[255 * 0.24205776, 255 * 0.23828046, 255 * 0.25874835],
    to_rgb=True,
)
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    dataset=dict(
        type='mmkd.CINIC10',
        data_root='data/CINIC-10',
        split='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        type='mmkd.CINIC10',
        data_root='data/CINIC-10',
        split='test',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
