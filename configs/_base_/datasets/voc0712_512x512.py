# VOC segmentation as FRSKD's code takes it: trained on trainval of 2007 and of 2012
# without SBD, tested on test of 2007; crops of 512 from images with a short side of 256
# to 1024. Not as there: it blurs half of the crops, labels what it adds at the edges as
# background and tests on images squashed to 512x512.
_base_ = 'mmseg::_base_/datasets/pascal_voc12.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=[(8192, 256), (8192, 1024)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 512)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    drop_last=True,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type='PascalVOCDataset',
                data_root=f'data/VOCdevkit/VOC{year}',
                data_prefix=dict(
                    img_path='JPEGImages', seg_map_path='SegmentationClass'
                ),
                ann_file='ImageSets/Segmentation/trainval.txt',
                pipeline=train_pipeline,
            )
            for year in (2007, 2012)
        ],
    ),
)
voc2007_test = dict(
    data_root='data/VOCdevkit/VOC2007', ann_file='ImageSets/Segmentation/test.txt'
)
val_dataloader = dict(dataset=voc2007_test)
test_dataloader = dict(dataset=voc2007_test)
