"""A sampler's indices that know when they were drawn, and items read by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mmengine.dist import get_dist_info

from mmkd.randomness import own_randomness, seed_item


class Drawn(int):
    """An index of a data set that knows when it was drawn: (epoch, place)."""

    place: tuple[int, int]


class Order:
    """A sampler's indices, as :class:`Drawn`. In all else it is that sampler."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self.lap = 0
        self.done = 0

    def __getattr__(self, name: str) -> Any:
        if name == 'sampler':  # of a copy in the making
            raise AttributeError(name)
        found = getattr(self.sampler, name)
        return partial(self._skip, found) if name == 'skip' else found

    def _skip(self, skip: Callable[[int], None], count: int) -> None:
        """Go on behind so many: how newer versions of mmengine resume."""
        skip(count)
        self.lap, self.done = 0, count  # counted from the very beginning

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Drawn]:
        rank, world = get_dist_info()
        lap, done = self.lap, self.done
        self.lap, self.done = lap + 1, 0
        for i, index in enumerate(self.sampler, done):
            drawn = Drawn(index)
            drawn.place = lap, i * world + rank
            yield drawn


class SeededItems:
    """Items of a data set, each read with the random numbers of its place."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __call__(self, indices: Sequence[Any]) -> list[Any]:
        """Read a batch."""
        if not all(isinstance(index, Drawn) for index in indices):
            return self._read(indices)  # another's loader
        items = []
        with own_randomness():
            for index in indices:
                seed_item(self.seed, *index.place)
                items += self._read([index])
        return items

    def _read(self, indices: Sequence[int]) -> list[Any]:
        kind = type(self.dataset)
        if hasattr(kind, '__getitems__'):
            found: list[Any] = kind.__getitems__(self.dataset, indices)
            return found
        return [self.dataset[index] for index in indices]
