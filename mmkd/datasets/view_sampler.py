"""Which view of an image is shown when: told with its index, by the sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from torch.utils.data import Sampler

from mmkd.datasets.views import ReplayedViews
from mmkd.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ViewSampler(Sampler[int]):
    """Another sampler's indices, with a view each: in epoch e it is view e mod views.

    Args:
        dataset: A :class:`ReplayedViews`.
        sampler: Config of the sampler that chooses the images. It keeps its order.
        seed: Its seed, from the Runner.
    """

    def __init__(
        self,
        dataset: ReplayedViews,
        sampler: Mapping[str, Any],
        seed: int | None = None,
    ) -> None:
        if not isinstance(dataset, ReplayedViews):
            raise TypeError(
                'mmkd.ViewSampler needs a data set with views: wrap it in '
                "dict(type='mmkd.ReplayedViews', views=…, dataset=…)"
            )
        self.dataset = dataset
        self.sampler = MMENGINE_DATA_SAMPLERS.build(
            dict(sampler), default_args=dict(dataset=dataset, seed=seed)
        )
        if hasattr(self.sampler, 'num_repeats'):
            raise ValueError(
                f'mmkd.ViewSampler: a {type(self.sampler).__name__} wants several '
                'views of an image in one epoch: there is one. Take a DefaultSampler.'
            )
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch: other views, and another order."""
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        """As many as the sampler has."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        """Items of the data set."""
        size, views = len(self.dataset), self.dataset.views
        rank, world = get_dist_info()
        endless = isinstance(self.sampler, InfiniteSampler)
        for step, index in enumerate(self.sampler):
            lap = (step * world + rank) // size if endless else 0
            yield (self.epoch + lap) % views * size + index
