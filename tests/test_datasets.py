"""Data sets: what they read of a small copy of each archive, and what they miss."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import TRANSFORMS, DefaultScope

from mmkd.datasets import ARCHIVES
from mmkd.registry import DATASETS

ROOT = Path(__file__).resolve().parents[1]
BASES = ROOT / 'configs' / '_base_' / 'datasets'
TOOL = runpy.run_path(str(ROOT / 'tools' / 'check_data.py'))
IMAGE, MAP = 'an image', 'a label map'
VOC = {
    'ImageSets/Segmentation/trainval.txt': 'a\nb',
    'ImageSets/Segmentation/test.txt': 'c',
    **{f'JPEGImages/{name}.jpg': IMAGE for name in 'abc'},
    **{f'SegmentationClass/{name}.png': MAP for name in 'abc'},
}
BOX = dict(id=1, image_id=1, category_id=1, bbox=[2, 2, 20, 20], area=400, iscrowd=0)
COCO = dict(
    images=[dict(id=i, file_name=f'{i}.jpg', height=32, width=64) for i in (1, 2)],
    annotations=[dict(BOX, segmentation=[[2, 2, 22, 2, 22, 22]])],
    categories=[dict(id=1, name='person')],
)
# What is in each folder: a file's text, or what it is.
TREES: dict[str, dict[str, Any]] = {
    'CINIC10': {
        f'{split}/{name}/{split}-{name}.png': IMAGE
        for split in ('train', 'valid', 'test')
        for name in ('dog', 'bird')
    },
    'TinyImageNet': {
        'wnids.txt': 'n02\nn01\n',
        'train/n01/images/n01_0.JPEG': IMAGE,
        'train/n02/images/n02_0.JPEG': IMAGE,
        'train/n02/n02_boxes.txt': 'n02_0.JPEG\t0\t0\t9\t9\n',
        'val/images/val_0.JPEG': IMAGE,
        'val/images/val_1.JPEG': IMAGE,
        'val/val_annotations.txt': (
            'val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n'
        ),
        'test/images/test_0.JPEG': IMAGE,
    },
    'MIT67': {
        'TrainImages.txt': 'office/b.jpg\nbar/a.jpg\r\n\n',
        'TestImages.txt': 'bar/c.jpg',
        'Images/bar/a.jpg': IMAGE,
        'Images/bar/c.jpg': IMAGE,
        'Images/office/b.jpg': IMAGE,
        'Images/office/neither.jpg': IMAGE,
    },
    'StanfordDogs': {
        'Images/n1-Pug/a.jpg': IMAGE,
        'Images/n2-Beagle/b.jpg': IMAGE,
        'Images/n2-Beagle/c.jpg': IMAGE,
        'Images/n2-Beagle/d.jpg': IMAGE,
        'lists/train_list.mat': ['n2-Beagle/b.jpg', 'n1-Pug/a.jpg'],
        'lists/test_list.mat': ['n2-Beagle/c.jpg', 'n2-Beagle/d.jpg'],
    },
    'Stanford40': {
        'ImageSplits/train.txt': 'run_1.jpg\ncook_1.jpg',
        'ImageSplits/run_train.txt': 'run_1.jpg\n',
        'ImageSplits/run_test.txt': 'run_2.jpg\n',
        'ImageSplits/cook_train.txt': 'cook_1.jpg\n',
        'ImageSplits/cook_test.txt': 'cook_2.jpg\ncook_3.jpg\n',
        **{f'JPEGImages/run_{i}.jpg': IMAGE for i in (1, 2)},
        **{f'JPEGImages/cook_{i}.jpg': IMAGE for i in (1, 2, 3)},
    },
    'CUB_200_2011': {
        'images.txt': '1 001.A/a.jpg\n2 002.B/b.jpg\n',
        'image_class_labels.txt': '1 1\n2 2\n',
        'train_test_split.txt': '1 1\n2 0\n',
        'images/001.A/a.jpg': IMAGE,
        'images/002.B/b.jpg': IMAGE,
    },
    'imagenet': {
        'train/a.jpg': IMAGE,
        'val/b.jpg': IMAGE,
        'meta/train.txt': 'a.jpg 3',
        'meta/val.txt': 'b.jpg 999',
    },
    'coco': {
        f'{folder}/{name}': content
        for part in ('train2017', 'val2017')
        for folder, name, content in (
            ('annotations', f'instances_{part}.json', json.dumps(COCO)),
            (part, '1.jpg', IMAGE),
            (part, '2.jpg', IMAGE),
        )
    },
    'cityscapes': {
        f'{folder}/{split}/ulm/1_{folder}{end}.png': content
        for split in ('train', 'val')
        for folder, end, content in (
            ('leftImg8bit', '', IMAGE),
            ('gtFine', '_labelTrainIds', MAP),
        )
    },
    'VOCdevkit': {f'VOC{y}/{file}': x for y in (2007, 2012) for file, x in VOC.items()},
}
TREES['CINIC-10'] = TREES['CINIC10']
TREES['tiny-imagenet-200'] = TREES['TinyImageNet']
# Files and classes of each split, in order.
SPLITS: dict[tuple[str, str], list[tuple[str, str]]] = {
    ('CINIC10', 'train'): [('train-bird.png', 'bird'), ('train-dog.png', 'dog')],
    ('CINIC10', 'valid'): [('valid-bird.png', 'bird'), ('valid-dog.png', 'dog')],
    ('CINIC10', 'test'): [('test-bird.png', 'bird'), ('test-dog.png', 'dog')],
    ('TinyImageNet', 'train'): [('n01_0.JPEG', 'n01'), ('n02_0.JPEG', 'n02')],
    ('TinyImageNet', 'val'): [('val_0.JPEG', 'n02'), ('val_1.JPEG', 'n01')],
    ('MIT67', 'train'): [('b.jpg', 'office'), ('a.jpg', 'bar')],
    ('MIT67', 'test'): [('c.jpg', 'bar')],
    ('StanfordDogs', 'train'): [('b.jpg', 'n2-Beagle'), ('a.jpg', 'n1-Pug')],
    ('StanfordDogs', 'test'): [('c.jpg', 'n2-Beagle'), ('d.jpg', 'n2-Beagle')],
    ('Stanford40', 'train'): [('cook_1.jpg', 'cook'), ('run_1.jpg', 'run')],
    ('Stanford40', 'test'): [
        ('cook_2.jpg', 'cook'),
        ('cook_3.jpg', 'cook'),
        ('run_2.jpg', 'run'),
    ],
}
OURS = sorted({name for name, _ in SPLITS})
# Name for the tool -> folder, and the sizes at which images are read.
NAMES: dict[str, tuple[str, list[tuple[int, int]]]] = {
    'cinic10': ('CINIC-10', [(32, 32), (32, 32)]),
    'tinyimagenet': ('tiny-imagenet-200', [(64, 64), (64, 64)]),
    'configs/frskd/frskd_resnet18_1xb128_tinyimagenet-32x32.py': (
        'tiny-imagenet-200',
        [(32, 32), (32, 32)],
    ),
    'mit67': ('MIT67', [(224, 224), (224, 224)]),
    'dogs': ('StanfordDogs', [(224, 224), (224, 224)]),
    'stanford40': ('Stanford40', [(224, 224), (224, 224)]),
    'cub200': ('CUB_200_2011', [(224, 224), (224, 224)]),
    'in1k': ('imagenet', [(224, 224), (224, 224)]),
    'coco': ('coco', [(800, 800), (800, 800)]),
    'cityscapes': ('cityscapes', [(512, 1024), (1024, 2048)]),
    'voc0712': ('VOCdevkit', [(0, 0), (0, 0), (512, 512)]),
}


def write(root: Path, tree: dict[str, Any], height: int = 64, width: int = 64) -> Path:
    """Make the files of a tree."""
    for name, content in tree.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content in (IMAGE, MAP):
            shape = (height, width, 3)[: 2 if content == MAP else 3]
            cv2.imwrite(str(file), np.full(shape, len(name) % 9, np.uint8))
        elif isinstance(content, list):
            scipy = pytest.importorskip('scipy.io')
            cells = np.array(content, dtype=object)[:, None]
            labels = np.ones((len(content), 1), np.uint8)
            parts = dict(file_list=cells, annotation_list=cells, labels=labels)
            scipy.savemat(file, parts, do_compression=True)
        else:
            file.write_text(content)
    return root


def build(name: str, root: Path, split: str, **settings: Any) -> Any:
    """As a Runner with a config of mmpretrain builds it."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return ROOT_DATASETS.build(
            dict(type=f'mmkd.{name}', data_root=str(root), split=split, **settings)
        )


def check(*argv: Any, code: int) -> None:
    with pytest.raises(SystemExit) as end:
        TOOL['main']([str(ROOT / part if '/' in str(part) else part) for part in argv])
    assert end.value.code == code


@pytest.mark.parametrize('name, split', SPLITS)
def test_files_and_labels(name: str, split: str, tmp_path: Path) -> None:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    built = build(name, write(tmp_path, TREES[name]), split, pipeline=pipeline)
    infos = [built.get_data_info(i) for i in range(len(built))]
    classes = built.metainfo['classes']
    assert list(classes) == sorted({c for n, _ in SPLITS for c in classes if n == name})
    expected = SPLITS[name, split]
    assert [Path(x['img_path']).name for x in infos] == [file for file, _ in expected]
    assert [classes[x['gt_label']] for x in infos] == [label for _, label in expected]
    assert built.get_cat_ids(0) == [infos[0]['gt_label']]
    item = built[len(built) - 1]
    assert item['inputs'].shape == (3, 64, 64)
    assert item['data_samples'].gt_label.tolist() == [infos[-1]['gt_label']]


@pytest.mark.parametrize(
    'name, path', [(name, path) for name in OURS for path in ARCHIVES[name].tree]
)
def test_what_is_missing(name: str, path: str, tmp_path: Path) -> None:
    write(tmp_path, TREES[name])
    for file in tmp_path.glob(path):
        file.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        build(name, tmp_path, 'train')
    first, *more = str(caught.value).splitlines()
    assert first == f"{name}: there is no '{tmp_path / path}'."
    archive = ARCHIVES[name]
    assert {*archive.tree, *archive.where} <= {line.strip() for line in more}


@pytest.mark.parametrize('name', OURS)
def test_wrong_root_and_split(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no '.*nowhere'"):
        build(name, tmp_path / 'nowhere', 'train')
    with pytest.raises(ValueError, match=r"split='trian' is none of \['train'"):
        build(name, tmp_path, 'trian')


def test_a_list_with_a_class_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, {**TREES['MIT67'], 'TestImages.txt': 'moon/a.jpg'})
    with pytest.raises(ValueError, match="'moon', which is none of the 2 classes"):
        build('MIT67', tmp_path, 'test')


def test_given_classes_stay(tmp_path: Path) -> None:
    write(tmp_path, TREES['MIT67'])
    built = build('MIT67', tmp_path, 'train', metainfo=dict(classes=('Bar', 'Office')))
    assert built.metainfo['classes'] == ('Bar', 'Office')


def test_every_set_is_registered_and_has_an_archive() -> None:
    sets = set(DATASETS.module_dict) - {'ReplayedViews'}
    assert set(OURS) == sets <= set(ARCHIVES)


def test_published_numbers() -> None:
    """By path where a config names no split; ends of names do not count."""
    voc = ARCHIVES['PascalVOCDataset']
    lists = 'ImageSets/Segmentation/trainval.txt'
    assert voc.count(f'data/VOCdevkit/VOC2007/{lists}') == 422
    assert voc.count('None', f'/x/VOC2012/{lists}') == 2913
    assert voc.count(f'data/VOC2010/{lists}') is None
    assert ARCHIVES['ImageNet'].count('None', 'data/imagenet/train/') == 1281167
    assert ARCHIVES['MIT67'].count('trainval') is None
    dogs, actions = ARCHIVES['StanfordDogs'].images, ARCHIVES['Stanford40'].images
    assert (sum(dogs.values()), sum(actions.values())) == (20580, 9532)


@pytest.mark.parametrize(
    'name, classes',
    [
        ('cifar100_frskd', 100),
        ('cinic10', 10),
        ('cub200', 200),
        ('dogs', 120),
        ('mit67', 67),
        ('stanford40', 40),
        ('tinyimagenet_frskd', 200),
        ('tinyimagenet_letkd', 200),
    ],
)
def test_bases(name: str, classes: int) -> None:
    config = Config.fromfile(BASES / f'{name}.py')
    train, test = config.train_dataloader, config.test_dataloader
    assert config.data_preprocessor.num_classes == classes
    assert config.val_dataloader == test
    assert train.dataset.type == test.dataset.type
    assert (train.dataset.split, train.sampler.shuffle) == ('train', True)
    assert test.dataset.split == ('val' if 'tiny' in name else 'test')


def test_images_are_turned_by_any_angle_up_to_20() -> None:
    config = Config.fromfile(BASES / 'tinyimagenet_letkd.py')
    (step,) = [
        s for s in config.train_dataloader.dataset.pipeline if s.type == 'Rotate'
    ]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        rotate = TRANSFORMS.build(step)
    angles = [rotate.random_negative(rotate.random_magnitude()) for _ in range(200)]
    assert not any(rotate.random_disable() for _ in range(50))
    assert -20 <= min(angles) < -15 and 15 < max(angles) <= 20
    assert abs(np.mean(angles)) < 4


@pytest.mark.parametrize('name', NAMES)
def test_tool_finds(name: str, tmp_path: Path, capsys) -> None:
    folder, sizes = NAMES[name]
    sides = {'cinic10': (32, 32), 'cityscapes': (64, 128)}.get(name, (64, 64))
    write(tmp_path / folder, TREES[folder], *sides)
    check(name, '--root', tmp_path, code=0)
    said = capsys.readouterr().out
    for height, width in sizes:  # 0: of random size
        assert not height or f'read as (3, {height}, {width})' in said
    assert said.count('read as') == len(sizes)
    assert said.count('images are published') == len(sizes)


@pytest.mark.parametrize('name', NAMES)
def test_tool_says_what_is_missing(name: str, tmp_path: Path, capsys) -> None:
    folder, _ = NAMES[name]
    check(name, '--root', tmp_path, code=1)
    said = capsys.readouterr().out
    assert f"there is no '{tmp_path / folder}" in said
    type_ = said.splitlines()[1].split(', ')[-1].partition(':')[0]
    assert all(url in said for url in ARCHIVES[type_].where)
    write(tmp_path / folder, TREES[folder])
    last = ARCHIVES[type_].tree[-1]
    for file in (tmp_path / folder).rglob(last):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    check(name, '--root', tmp_path, code=1)
    said = capsys.readouterr().out
    assert 'MISSING: there is no' in said and Path(last).suffix in said


def test_tool_downloads_nothing(tmp_path: Path, capsys) -> None:
    write(tmp_path / 'cifar100', {'cifar-100-python/train': 'nothing'})
    check('cifar100', '--root', tmp_path, code=1)
    missing = tmp_path / 'cifar100' / 'cifar-100-python' / 'test'
    assert f"there is no '{missing}'" in capsys.readouterr().out


def test_tool_says_nothing_of_published_sets_about_others(
    tmp_path: Path, capsys
) -> None:
    config = tmp_path / 'mine.py'
    config.write_text(
        "default_scope = 'mmdet'\n"
        "train_dataloader = dict(dataset=dict(type='CocoDataset',"
        f"    data_root='{tmp_path}', ann_file='mine.json'))"
    )
    check(config, code=1)
    said = capsys.readouterr().out
    assert (
        f"there is no '{tmp_path / 'mine.json'}'" in said and 'cocodataset' not in said
    )


def test_tool_says_what_is_wrong_with_a_config(tmp_path: Path, capsys) -> None:
    check(tmp_path / 'none.py', code=2)
    assert 'There is no config file' in capsys.readouterr().err
    (tmp_path / 'model.py').write_text('model = dict()')
    check(tmp_path / 'model.py', code=2)
    assert 'has no train_dataloader' in capsys.readouterr().err


def test_tool_knows_the_data_of_every_config() -> None:
    leaves = (ROOT / 'configs').glob('*/*_*_*.py')
    ends = {file.stem.rpartition('_')[2] for file in leaves if '_' in file.stem}
    names = set(TOOL['known']())
    assert names == set(NAMES) - {n for n in NAMES if '/' in n} | {'cifar100'}
    assert all(end.startswith(tuple(names)) for end in ends)


def test_tool_takes_sets_apart() -> None:
    a, b = dict(type='A'), dict(type='B')
    joined = dict(type='ConcatDataset', datasets=[a, dict(type='Repeat', dataset=b)])
    config = Config(
        dict(
            train_dataloader=dict(dataset=joined),
            val_dataloader=dict(dataset=b),
            test_dataloader=dict(dataset=a),
        )
    )
    assert TOOL['sets_of'](config) == {'train, test': a, 'train, val': b}
