# TinyImageNet as letKD's code reads it: 64x64, turned by up to 20 degrees, not cropped.
# RECONSTRUCTION: the batch size; and that accuracy is that of the validation set, of
# which the authors have half the images of each class for choosing and half for testing.
_base_ = 'tinyimagenet_frskd.py'
data_preprocessor = dict(std=[255 * 0.2302, 255 * 0.2265, 255 * 0.2262])
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='Rotate',
                magnitude_range=(0, 20),  # of these any, to either side
                magnitude_std='inf',
                magnitude_level=10,
                prob=1.0,
                pad_val=0,
            ),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64,
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]),
)
test_dataloader = val_dataloader
