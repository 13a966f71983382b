"""Fingerprints: is it the teacher, or the data, that something was made from?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import nn

LOOKED_AT = 10000  # items of a data set, evenly spread


def teacher_fingerprint(model: nn.Module) -> str:
    """A hash of a model's weights, wherever they are."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not name.endswith('num_batches_tracked'):
            hashed.update(name.encode())
            hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def data_fingerprint(dataset: Any) -> dict[str, Any]:
    """How many images and classes there are, and a hash of file names and labels.

    The annotations are read, not the images: neither transforms nor the folder that
    the data are in make a difference. Of a large data set some items stand for all.
    """
    count = len(dataset)
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    hashed = hashlib.sha256(repr(list(map(str, classes))).encode())
    known = hasattr(dataset, 'get_data_info')
    step = max(1, count // LOOKED_AT)
    for i in range(0, count if known else 0, step):
        hashed.update(repr(_known_of(dataset.get_data_info(i))).encode())
    return dict(images=count, classes=len(classes), digest=hashed.hexdigest())


def _known_of(info: dict[str, Any]) -> list[Any]:
    """An image's files, without their folder, and its labels."""
    files = [Path(str(info.get(key, ''))).name for key in ('img_path', 'seg_map_path')]
    labels = [str(info.get('gt_label'))]
    labels += [str(item.get('bbox_label')) for item in info.get('instances', ())]
    return files + labels


def describe(fingerprint: dict[str, Any]) -> str:
    """A data set's fingerprint in words."""
    return (
        f'{fingerprint["images"]} images of {fingerprint["classes"]} classes '
        f'(fingerprint {fingerprint["digest"][:8]})'
    )
