"""Views that come again: the same augmentation of an image whenever it is asked for.

A pipeline that draws numbers makes a new view of an image every time. Here view ``v``
of image ``i`` is one and the same, in every process, epoch and run::

    train_dataloader = dict(
        dataset=dict(type='mmkd.ReplayedViews', views=8, dataset=…),
        sampler=dict(type='mmkd.ViewSampler', sampler=dict(type='DefaultSampler')))

Which view it is comes with the index, from the sampler in the main process. So workers,
persistent or not, need not know the epoch.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from torch.utils.data import Dataset

from mmkd.randomness import own_randomness, seed_item
from mmkd.registry import DATASETS

Item = dict[str, Any]
# One image in so many has a checksum: what changes a pipeline changes them all.
CHECKED = 8


@DATASETS.register_module()
class ReplayedViews(Dataset[Item]):
    """A data set of which each image has a fixed number of views.

    Every item says which one it is: ``view`` in the metainfo of its sample is (index,
    view, checksum of the image; 0 for most, see ``CHECKED``).

    Args:
        dataset: The data set, or its config.
        views: How many views of an image there are. Item ``v * len + i`` is view v of
            image i.
        seed: Another one makes other views.
    """

    def __init__(
        self, dataset: Mapping[str, Any] | Dataset[Item], views: int, seed: int = 0
    ) -> None:
        if views < 1:
            raise ValueError(f'mmkd.ReplayedViews: views={views}, but 1 is the least.')
        self.views = views
        self.seed = seed
        self.pipeline_text = describe_pipeline(dataset)
        built = isinstance(dataset, Dataset)
        self.dataset: Any = dataset if built else MMENGINE_DATASETS.build(dataset)

    @property
    def metainfo(self) -> Any:
        """The data set's own."""
        return getattr(self.dataset, 'metainfo', {})

    def full_init(self) -> None:
        """Read the annotations, if that is still to be done."""
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()

    def get_data_info(self, item: int) -> Any:
        """The annotation of an image; empty where the data set tells none."""
        known = hasattr(self.dataset, 'get_data_info')
        return self.dataset.get_data_info(item % len(self)) if known else {}

    def get_cat_ids(self, item: int) -> Any:
        """The classes in an image."""
        return self.dataset.get_cat_ids(item % len(self))

    def __len__(self) -> int:
        """How many images there are; items are ``views`` times as many."""
        return len(self.dataset)

    def __getitem__(self, item: int) -> Item:
        return self.__getitems__([item])[0]

    def __getitems__(self, items: Sequence[int]) -> list[Item]:
        """Several at once: what torch's dataloader asks for, if it is there."""
        size = len(self)
        with own_randomness():  # takes longer than to seed
            return [self._view(*divmod(item, size)) for item in items]

    def _view(self, view: int, index: int) -> Item:
        if not 0 <= view < self.views:
            raise IndexError(f'There is no view {view}, only {self.views} of an image.')
        seed_item(self.seed, view, index)
        found: Item = self.dataset[index]
        image = found['inputs']
        if not isinstance(image, torch.Tensor):
            raise TypeError(
                'mmkd.ReplayedViews: the pipeline gives a '
                f"{type(image).__name__} as 'inputs', not the tensor of one image."
            )
        checksum = 0
        if (index + view) % CHECKED == 0:
            checksum = zlib.crc32(np.ascontiguousarray(image.numpy()).data)
        sample = found['data_samples']
        sample.set_field((index, view, checksum), 'view', field_type='metainfo')
        return found


def describe_pipeline(dataset: Any) -> list[str]:
    """Every transform with its settings, of a data set or a config, innermost first."""
    if isinstance(dataset, Mapping):
        inner = dataset.get('dataset') or dataset.get('datasets') or ()
        steps = [
            json.dumps(step, sort_keys=True, default=str)
            for step in dataset.get('pipeline') or ()
        ]
    else:
        inner = getattr(dataset, 'dataset', None) or getattr(dataset, 'datasets', ())
        pipeline = getattr(dataset, 'pipeline', None)
        steps = [
            re.sub(r' at 0x\w+', '', repr(step))
            for step in getattr(pipeline, 'transforms', ())
        ]
    parts = inner if isinstance(inner, (list, tuple)) else [inner]
    return [line for part in parts for line in describe_pipeline(part)] + steps
