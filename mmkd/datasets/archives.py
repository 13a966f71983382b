"""What published data sets look like on disk, and where to get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """A data set as its authors' archives unpack.

    Args:
        where: Pages or files to get it from, as of writing.
        tree: What must be in the folder, as patterns of :meth:`pathlib.Path.glob`.
        images: Published number of images. A key is a split, or the end of the path
            by which a config names one.
        source: Who published these numbers.
        note: What to do beside unpacking.
    """

    where: tuple[str, ...]
    tree: tuple[str, ...]
    images: Mapping[str, int]
    source: str
    note: str = ''

    def missing(self, root: str | Path) -> str | None:
        """The first file or folder that is not in ``root``; None: all are there."""
        folder = Path(root).expanduser()
        if not folder.is_dir():
            return str(folder)
        for pattern in self.tree:
            if next(folder.glob(pattern), None) is None:
                return str(folder / pattern)
        return None

    def help(self) -> str:
        """What the folder must have, and where that comes from."""
        lines = ['As unpacked, data_root has', *(f'    {path}' for path in self.tree)]
        lines += ['Get it from (as of writing)', *(f'    {url}' for url in self.where)]
        return '\n'.join([*lines, self.note] if self.note else lines)

    def count(self, *names: str) -> int | None:
        """The published number of images of what a config calls so."""
        for key, number in self.images.items():
            if any(f'/{name}'.rstrip('/').endswith(f'/{key}') for name in names):
                return number
        return None


_VOC = 'http://host.robots.ox.ac.uk/pascal/VOC/'
_DOGS = 'http://vision.stanford.edu/aditya86/ImageNetDogs/'
_ACTIONS = 'http://vision.stanford.edu/Datasets/'
_COCO = 'http://images.cocodataset.org/'

# By the name of the class that reads it: ours, mmpretrain's, mmdet's and mmseg's.
ARCHIVES: dict[str, Archive] = {
    'CINIC10': Archive(
        where=('https://datashare.ed.ac.uk/handle/10283/3192 (CINIC-10.tar.gz)',),
        tree=('train/*/*.png', 'valid/*/*.png', 'test/*/*.png'),
        images=dict(train=90000, valid=90000, test=90000),
        source='https://github.com/BayesWatch/cinic-10',
    ),
    'TinyImageNet': Archive(
        where=('http://cs231n.stanford.edu/tiny-imagenet-200.zip',),
        tree=(
            'wnids.txt',
            'train/*/images/*.JPEG',
            'val/val_annotations.txt',
            'val/images/*.JPEG',
        ),
        images=dict(train=100000, val=10000),
        source='https://huggingface.co/datasets/zh-plus/tiny-imagenet',
    ),
    'MIT67': Archive(
        where=(
            'https://web.mit.edu/torralba/www/indoor.html',
            'http://groups.csail.mit.edu/vision/LabelMe/NewImages/indoorCVPR_09.tar',
            'http://web.mit.edu/torralba/www/TrainImages.txt',
            'http://web.mit.edu/torralba/www/TestImages.txt',
        ),
        tree=('TrainImages.txt', 'TestImages.txt', 'Images/*/*.jpg'),
        images=dict(train=67 * 80, test=67 * 20),
        source='https://web.mit.edu/torralba/www/indoor.html',
    ),
    'StanfordDogs': Archive(
        where=(f'{_DOGS}images.tar', f'{_DOGS}lists.tar, unpacked into lists/'),
        tree=('Images/*/*.jpg', 'lists/train_list.mat', 'lists/test_list.mat'),
        images=dict(train=12000, test=8580),
        source='https://www.tensorflow.org/datasets/catalog/stanford_dogs',
    ),
    'Stanford40': Archive(
        where=(
            f'{_ACTIONS}40actions.html',
            f'{_ACTIONS}Stanford40_JPEGImages.zip',
            f'{_ACTIONS}Stanford40_ImageSplits.zip',
        ),
        tree=('JPEGImages/*.jpg', 'ImageSplits/*_train.txt', 'ImageSplits/*_test.txt'),
        images=dict(train=40 * 100, test=9532 - 40 * 100),
        source=f'{_ACTIONS}40actions.html',
    ),
    'CUB': Archive(
        where=('https://www.vision.caltech.edu/datasets/cub_200_2011/',),
        tree=(
            'images.txt',
            'image_class_labels.txt',
            'train_test_split.txt',
            'images/*/*.jpg',
        ),
        images=dict(train=5994, test=5794),
        source='https://mmpretrain.readthedocs.io, class CUB',
    ),
    'CIFAR100': Archive(
        where=('https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz',),
        tree=('cifar-100-python/train', 'cifar-100-python/test'),
        images=dict(train=50000, test=10000),
        source='https://www.cs.toronto.edu/~kriz/cifar.html',
        note='mmpretrain downloads it when it is not there.',
    ),
    'ImageNet': Archive(
        where=('https://www.image-net.org (ILSVRC 2012, after registration)',),
        tree=('train', 'val'),
        images=dict(train=1281167, val=50000),
        source='https://mmpretrain.readthedocs.io, class ImageNet',
        note='In both, a folder for each class; or meta/train.txt and meta/val.txt '
        'with a line "path label" for each image.',
    ),
    'CocoDataset': Archive(
        where=(
            f'{_COCO}zips/train2017.zip',
            f'{_COCO}zips/val2017.zip',
            f'{_COCO}annotations/annotations_trainval2017.zip',
        ),
        tree=(
            'annotations/instances_train2017.json',
            'annotations/instances_val2017.json',
            'train2017/*.jpg',
            'val2017/*.jpg',
        ),
        images={'instances_train2017.json': 118287, 'instances_val2017.json': 5000},
        source='https://cocodataset.org/#download',
    ),
    'CityscapesDataset': Archive(
        where=(
            'https://www.cityscapes-dataset.com/downloads/, after registration: '
            'leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip',
        ),
        tree=tuple(
            f'{part}/{split}/*/*{end}.png'
            for split in ('train', 'val')
            for part, end in (('leftImg8bit', ''), ('gtFine', '_labelTrainIds'))
        ),
        images={'leftImg8bit/train': 2975, 'leftImg8bit/val': 500},
        source='https://www.cityscapes-dataset.com/dataset-overview/',
        note='The *_labelTrainIds.png are made by csCreateTrainIdLabelImgs of the '
        'package cityscapesscripts.',
    ),
    'PascalVOCDataset': Archive(
        where=(
            f'{_VOC}voc2007/VOCtrainval_06-Nov-2007.tar',
            f'{_VOC}voc2007/VOCtest_06-Nov-2007.tar',
            f'{_VOC}voc2012/VOCtrainval_11-May-2012.tar',
        ),
        tree=(
            'ImageSets/Segmentation/trainval.txt',
            'JPEGImages/*.jpg',
            'SegmentationClass/*.png',
        ),
        images={
            'VOC2007/ImageSets/Segmentation/trainval.txt': 422,
            'VOC2007/ImageSets/Segmentation/test.txt': 210,
            'VOC2012/ImageSets/Segmentation/train.txt': 1464,
            'VOC2012/ImageSets/Segmentation/val.txt': 1449,
            'VOC2012/ImageSets/Segmentation/trainval.txt': 2913,
        },
        source=f'{_VOC}voc2007/dbstats.html, {_VOC}voc2012/dbstats.html',
        note='All three unpack into VOCdevkit/; the two of 2007 into one folder.',
    ),
}
