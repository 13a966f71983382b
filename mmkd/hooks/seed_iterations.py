"""SeedIterations: randomness that a stopped and resumed run repeats exactly."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmkd.datasets.views import ReplayedViews
from mmkd.hooks.order import Order, SeededItems
from mmkd.randomness import seed_all
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
