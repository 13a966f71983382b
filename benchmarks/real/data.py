"""CIFAR-10 and CamVid from archives into the folders that stock data sets read.

CIFAR-10: two npz files, for training and test, with the arrays ``jpeg`` (the bytes of
all images in a row), ``offset`` (N + 1,), ``label`` (N,) and ``names``. CamVid: a tar
file with img_dir/{train,val,test}/*.jpg and ann_dir/…/*.png, 255 for no label.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np


def prepare_cifar10(files: list[Path], folder: Path) -> None:
    """Write train/ and test/, a folder for each class; the bytes stay the same."""
    for split, file in zip(('train', 'test'), files):
        with np.load(file) as data:
            jpeg, offset, label = data['jpeg'].tobytes(), data['offset'], data['label']
            names = [str(name) for name in data['names']]
        for name in names:
            (folder / split / name).mkdir(parents=True, exist_ok=True)
        for i, number in enumerate(label):
            image = jpeg[offset[i] : offset[i + 1]]
            (folder / split / names[number] / f'{i:05d}.jpg').write_bytes(image)


def prepare_camvid(file: Path, folder: Path) -> None:
    """Write img_dir/ and ann_dir/, wherever in the archive they are."""
    with tarfile.open(file) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            *_, kind, split, name = Path(member.name).parts
            if kind in ('img_dir', 'ann_dir'):
                target = folder / kind / split / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None
                target.write_bytes(source.read())
