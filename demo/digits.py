"""The demo's images: scikit-learn's 1797 handwritten digits, written as PNG files.

They come with scikit-learn, so nothing is downloaded. As they are, 8x8 pixels and
neatly centred, the smallest network reads nearly all of them. So each is enlarged to
32x32, turned, sheared, moved and put under noise, once and always in the same way.

    python demo/digits.py demo_runs/digits
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

SIZE = 32
TRAIN = 600  # of 1797: few enough for a network to gain from a teacher
VERSION = f'1: {TRAIN} of 1797, {SIZE}x{SIZE}'


def prepare(root: Path) -> Path:
    """Write root/train/<digit>/*.png and root/val/<digit>/*.png, if not done yet."""
    mark = root / 'complete'
    if mark.is_file() and mark.read_text() == VERSION:
        return root
    part = root.with_name(f'{root.name}.{os.getpid()}.part')
    shutil.rmtree(part, ignore_errors=True)
    digits = load_digits()
    random = np.random.RandomState(0)
    order = random.permutation(len(digits.images))
    for place, index in enumerate(order):
        split = 'train' if place < TRAIN else 'val'
        folder = part / split / str(digits.target[index])
        folder.mkdir(parents=True, exist_ok=True)
        image = disturb(digits.images[index] / 16, random)
        cv2.imwrite(str(folder / f'{index:04d}.png'), image)
    (part / 'complete').write_text(VERSION)
    shutil.rmtree(root, ignore_errors=True)  # of an older version, or half written
    part.rename(root)
    return root


def disturb(image: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Enlarge, turn, shear, move, and add noise to one image with values in [0, 1]."""
    angle, shear = random.uniform(-0.4, 0.4), random.uniform(-0.25, 0.25)
    scale = random.uniform(0.24, 0.34)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[1, shear], [0, 1]])
    centre = np.full(2, (SIZE - 1) / 2) + random.uniform(-3, 3, 2)
    offset = np.full(2, 3.5) - matrix @ centre
    large = affine_transform(image, matrix, offset, (SIZE, SIZE), order=1)
    contrast = random.uniform(0.6, 1)
    noisy = 0.2 + contrast * 0.6 * large + random.normal(0, 0.12, large.shape)
    return (noisy.clip(0, 1) * 255).round().astype(np.uint8)


if __name__ == '__main__':
    print(prepare(Path(sys.argv[1] if len(sys.argv) > 1 else 'demo_runs/digits')))
