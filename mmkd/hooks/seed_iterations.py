"""SeedIterations: randomness that a stopped and resumed run repeats exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_dist_info, get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmkd.datasets.views import ReplayedViews
from mmkd.randomness import own_randomness, seed_all, seed_item
from mmkd.registry import HOOKS


@HOOKS.register_module()
class SeedIterations(Hook):  # type: ignore[misc]
    """Seed every generator: before each training step, and before each image is read.

    mmengine does not save the state of random generators. Dropout, the sampling of
    regions in a detector and augmentation would go on differently after a resume; so
    they are the same. A step is seeded from (seed, iteration, rank), an image from
    (seed, epoch, its place in the epoch). So augmentation is also the same for any
    number of workers, and for any number of ranks with the same batches.

    A data set that gives the same views again (:class:`mmkd.datasets.ReplayedViews`)
    is left alone.
    """

    priority = 'VERY_HIGH'
    order: Order | None = None

    def before_run(self, runner: Runner) -> None:
        """Seed what is read, in this process or in workers."""
        loop = runner.train_loop
        loader: Any = getattr(loop, 'dataloader', None)
        sampler = getattr(getattr(loader, 'batch_sampler', None), 'sampler', None)
        dataset: Any = getattr(loader, 'dataset', None)
        if sampler is None or isinstance(dataset, ReplayedViews):
            return
        # Workers of a loop by iterations are at work already: they begin again.
        again = isinstance(loop, IterBasedTrainLoop) and loader.num_workers > 0
        if again and type(sampler) not in (InfiniteSampler, DefaultSampler):
            return
        self.order = Order(sampler)
        loader.batch_sampler.sampler = self.order
        vars(loader)['sampler'] = self.order  # a dataloader lets nobody set it
        # torch's dataloader asks for it; set on the instance, the data set stays what
        # it is to everybody else.
        dataset.__getitems__ = SeededItems(dataset, runner.seed or 0)
        if again:
            loader._iterator = loop.dataloader_iterator._iterator = None
            if isinstance(sampler, InfiniteSampler):
                sampler.indices = sampler._indices_of_rank()
            loop.dataloader_iterator._iterator = iter(loader)

    def before_train(self, runner: Runner) -> None:
        """Count epochs from where the run goes on."""
        if self.order is not None and isinstance(
            runner.train_loop, EpochBasedTrainLoop
        ):
            self.order.lap = runner.epoch

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed Python, NumPy and torch."""
        seed_all(runner.seed or 0, runner.iter, get_rank())


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
