"""The demo's data: scikit-learn's 1797 handwritten digits in three standard layouts.

They come with scikit-learn, so nothing is downloaded. As they are, 8x8 pixels and
neatly centred, the smallest network reads nearly all of them. So they are enlarged,
turned, sheared, moved and put under noise, once and always in the same way::

    cls/train/3/0042.png                    one digit each, 32x32, a folder per class
    scenes/coco/{train,val,test}/000.png    two to four digits in colour, 96x96, with
    scenes/coco/annotations/….json          boxes and instance masks
    scenes/cityscapes/{leftImg8bit,gtFine}  the same with a class for every pixel

Stock data sets of mmpretrain, mmdet and mmseg read them. No digit of one split is in
another one.

    python demo/data.py demo_runs/data
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter
from sklearn.datasets import load_digits

SIZE, SCENE = 32, 96
# How many of the 1797 digits each split has. There are few for training, so that a
# network gains from a teacher.
DIGITS = dict(train=600, val=397, test=800)
SCENES = dict(train=240, val=80, test=160)
BACKGROUND = 10  # the class of pixels that belong to no digit
VERSION = f'3: {DIGITS} {SIZE}, {SCENES} {SCENE}'

Array = np.ndarray
Splits = dict[str, tuple[Array, Array]]


def prepare(root: Path) -> Path:
    """Write all layouts to ``root``, if that is not done yet."""
    mark = root / 'complete'
    if mark.is_file() and mark.read_text() == VERSION:
        return root
    part = root.with_name(f'{root.name}.{os.getpid()}.part')
    shutil.rmtree(part, ignore_errors=True)
    splits = split_digits()
    write_images(part / 'cls', splits)
    write_scenes(part / 'scenes', splits)
    (part / 'complete').write_text(VERSION)
    shutil.rmtree(root, ignore_errors=True)  # of an older version, or half written
    part.rename(root)
    return root


def split_digits() -> Splits:
    """The images (N, 8, 8) in [0, 1] and labels (N,) of each split."""
    data = load_digits()
    order = np.random.RandomState(0).permutation(len(data.images))
    splits, start = {}, 0
    for name, count in DIGITS.items():
        chosen = order[start : start + count]
        splits[name] = (data.images[chosen] / 16, data.target[chosen])
        start += count
    return splits


def write_images(root: Path, splits: Splits) -> None:
    """One digit in an image: root/<split>/<digit>/<number>.png."""
    random = np.random.RandomState(0)
    for name, (images, labels) in splits.items():
        for number, (image, label) in enumerate(zip(images, labels)):
            folder = root / name / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            centre = (SIZE - 1) / 2 + random.uniform(-3, 3, 2)
            large = place(image, SIZE, centre, 1 / random.uniform(0.24, 0.34), random)
            contrast = random.uniform(0.6, 1)
            noisy = 0.2 + contrast * 0.6 * large + random.normal(0, 0.12, large.shape)
            write(folder / f'{number:04d}.png', noisy)


def write_scenes(root: Path, splits: Splits) -> None:
    """Several digits in an image: root/coco and root/cityscapes."""
    random = np.random.RandomState(1)
    for name, digits in splits.items():
        coco: dict[str, Any] = dict(
            images=[],
            annotations=[],
            categories=[dict(id=i, name=str(i)) for i in range(10)],
        )
        for number in range(SCENES[name]):
            image, masks, labels = draw_scene(*digits, random)
            write(root / 'coco' / name / f'{number:03d}.png', image)
            coco['images'].append(
                dict(
                    id=number, file_name=f'{number:03d}.png', width=SCENE, height=SCENE
                )
            )
            for mask, label in zip(masks, labels):
                coco['annotations'].append(
                    dict(
                        id=len(coco['annotations']) + 1,
                        image_id=number,
                        category_id=int(label),
                        **annotation(mask),
                    )
                )
            city = root / 'cityscapes'
            stem = f'{name}/digits/digits_{number:06d}_000019'
            write(city / 'leftImg8bit' / f'{stem}_leftImg8bit.png', image)
            classes = np.full((SCENE, SCENE), BACKGROUND, np.uint8)
            for mask, label in zip(masks, labels):
                classes[mask] = label
            write(city / 'gtFine' / f'{stem}_gtFine_labelTrainIds.png', classes)
        file = root / 'coco' / 'annotations' / f'instances_{name}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(coco))


def draw_scene(
    images: Array, labels: Array, random: np.random.RandomState
) -> tuple[Array, list[Array], list[int]]:
    """A coloured scene (H, W, 3); the visible mask (H, W) and label of each digit."""
    scene = gaussian_filter(random.normal(size=(SCENE, SCENE, 3)), (12, 12, 0))
    scene = 0.45 + scene / np.abs(scene).max() * 0.2
    for _ in range(random.randint(3, 8)):  # strokes that mean nothing
        a, b = (tuple(int(x) for x in random.randint(0, SCENE, 2)) for _ in range(2))
        middle = tuple((p + q) // 2 for p, q in zip(a, b))
        end = a if random.rand() < 0.5 else middle
        cv2.line(
            scene, end, b, tuple(random.uniform(0.2, 0.8, 3)), random.randint(1, 4)
        )
    masks: list[Array] = []
    kept: list[int] = []
    for _ in range(random.randint(2, 5)):
        height = random.uniform(20, 42)
        spot = place_free(masks, height, random)
        if spot is None:
            continue
        index = random.randint(len(images))
        opacity = place(images[index], SCENE, spot, height / 8, random)
        opacity = np.clip(opacity * 1.25, 0, 1)
        light = random.rand() < 0.5
        colour = random.uniform(0.75, 1, 3) if light else random.uniform(0, 0.2, 3)
        scene = scene * (1 - opacity[..., None]) + colour * opacity[..., None]
        mask = opacity > 0.4
        masks = [other & ~mask for other in masks]
        masks.append(mask)
        kept.append(int(labels[index]))
    return scene + random.normal(0, 0.06, scene.shape), masks, kept


def place_free(
    masks: list[Array], height: float, random: np.random.RandomState
) -> Array | None:
    """A centre (y, x) for a digit of this height that leaves the others in sight."""
    for _ in range(30):
        spot = random.uniform(height / 2, SCENE - height / 2, 2)
        (top, left), (bottom, right) = (
            np.clip(spot + half, 0, SCENE).astype(int)
            for half in (-height * 0.45, height * 0.45)
        )
        if not any(mask[top:bottom, left:right].any() for mask in masks):
            return spot
    return None


def place(
    image: Array, size: int, centre: Array, scale: float, random: np.random.RandomState
) -> Array:
    """A digit (8, 8) enlarged, turned and sheared, in a map (size, size)."""
    angle, shear = random.uniform(-0.4, 0.4), random.uniform(-0.25, 0.25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) / scale
    offset = np.full(2, 3.5) - matrix @ centre
    return affine_transform(image, matrix, offset, (size, size), order=1)


def annotation(mask: Array) -> dict[str, Any]:
    """COCO's description of a mask (H, W); its runs go down the columns."""
    flat = np.concatenate([[0], mask.T.ravel(), [0]]).astype(int)
    borders = np.flatnonzero(np.diff(flat))
    runs = np.diff([0, *borders, mask.size])
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return dict(
        segmentation=dict(counts=runs.tolist(), size=list(mask.shape)),
        bbox=[x, y, w, h],
        area=int(mask.sum()),
        iscrowd=0,
    )


def write(file: Path, image: Array) -> None:
    """Write values in [0, 1], or classes, as a PNG file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if image.dtype != np.uint8:
        image = (image.clip(0, 1) * 255).round().astype(np.uint8)
    if not cv2.imwrite(str(file), image):
        raise OSError(f'Cannot write {file}')


if __name__ == '__main__':
    print(prepare(Path(sys.argv[1] if len(sys.argv) > 1 else 'demo_runs/data')))
