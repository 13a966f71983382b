"""TrainPreludes: train what losses want of the frozen teacher before the student."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mmkd.arguments import naming
from mmkd.build import model_of
from mmkd.prelude import Prelude, Recipe, Seen
from mmkd.randomness import own_randomness, seed_all
from mmkd.registry import HOOKS


@HOOKS.register_module()
class TrainPreludes(Hook):  # type: ignore[misc]
    """Train every :class:`mmkd.prelude.Prelude` that a term needs, and say how it went.

    It does nothing where no loss has one, or where its weights were loaded with the
    distiller's. The data are those of the training dataloader, in an order of its own;
    the state of the random generators and of the student's sampler stay as they were.
    All ranks end with the same weights.
    """

    def before_train(self, runner: Runner) -> None:
        """Train what is not trained yet; a resumed run has loaded it."""
        model = model_of(runner)
        for name, term in getattr(model, 'terms', {}).items():
            for level, loss in enumerate(term.losses if term.base_weight else ()):
                prelude = loss.prelude
                if prelude is None or prelude.done:
                    continue
                with naming(f'terms.{name}'):
                    source = Source(model, term, level)
                with own_randomness():
                    seed_all(runner.seed or 0, get_rank())
                    train(runner, source, prelude)
                for line in prelude.report():
                    runner.logger.info(f'{name}: {line}')
                for doubt in prelude.doubts():
                    runner.logger.warning(f'{name}: {doubt}')


class Source:
    """What a loss sees of its frozen teacher, without any student.

    Args:
        model: The distiller.
        term: One of its terms.
        level: Which of its losses it is about.
    """

    def __init__(self, model: Any, term: Any, level: int = 0) -> None:
        still = set(getattr(model, 'frozen', {}))
        if not term.teacher.networks() <= still:
            raise ValueError(
                'what is trained first needs a frozen teacher, and none that is a '
                f'recording; this one reads {sorted(term.teacher.networks())}.'
            )
        if len(term.teacher.chains) or term.labels is not None:
            raise ValueError(
                'what is trained first sees the teacher alone: here is neither a '
                "teacher_connector, which is told the student's shape, nor 'labels', "
                'which are read in the student.'
            )
        self.model = model
        self.term = term
        self.level = level

    def see(self, data: Any, training: bool) -> Seen:
        """What the teacher gives for a batch, and the ground truth."""
        model = self.model
        with torch.no_grad():
            data = model.data_preprocessor(data, training)
            inputs, samples = data['inputs'], data['data_samples']
            records, _ = model.teach(inputs, samples, [self.term])
            parts = self.term.teacher.recorded(records)
            levels = [level for part in parts for level in part]
            targets = model.task.targets(model.student, samples)
        if not self.term.loss.joint:
            return levels[self.level], targets
        counts = [len(part) for part in parts]
        return self.term.teacher.formed(levels, counts), targets


def train(runner: Runner, source: Source, prelude: Prelude) -> None:
    """Train a prelude, with the same weights on all ranks."""
    recipe = prelude.recipe
    assert recipe is not None
    loader, seed = runner.train_dataloader, runner.seed or 0
    epoch = math.ceil(len(loader.dataset) / (_batch(loader) * get_world_size()))
    steps = recipe.iters or recipe.epochs * epoch
    prelude.prepare(source.see(data, True) for data in batches(loader, epoch, seed))
    runner.logger.info(f'{source.term.name}: {steps} iterations before the student …')
    with prelude.learning() as weights:
        optimizer, scheduler = _sgd(weights, recipe, steps)
        for step, data in enumerate(batches(loader, steps, seed)):
            prelude.closing = step >= steps - epoch
            total, count = prelude.objective(*source.see(data, training=True))
            _descend(optimizer, weights, total, count)
            scheduler.step()
            if (step + 1) % max(1, steps // 5) == 0:
                mean = float(total.detach()) / max(1, count)
                _check(source.term.name, [total, *weights])
                runner.logger.info(f'  [{step + 1}/{steps}] loss {mean:.4f}')
        prelude.closing = False
        _check(source.term.name, weights)
    _share_statistics(prelude)
    data = () if runner.val_loop is None else runner.val_dataloader
    prelude.review(source.see(batch, training=False) for batch in data)
    prelude.done.fill_(True)


def _sgd(weights: list[Tensor], recipe: Recipe, steps: int) -> tuple[Any, Any]:
    optimizer = torch.optim.SGD(
        weights,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    milestones = [round(share * steps) for share in recipe.milestones]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, milestones, recipe.gamma
    )
    return optimizer, scheduler


def _descend(optimizer: Any, weights: list[Tensor], total: Tensor, count: int) -> None:
    """One step down the mean over all ranks."""
    found: Any = [None] * len(weights)
    if total.requires_grad:
        found = torch.autograd.grad(total, weights, allow_unused=True)
    counted = total.new_tensor(float(count))
    all_reduce(counted)
    for weight, own in zip(weights, found):
        gradient = torch.zeros_like(weight) if own is None else own.contiguous()
        all_reduce(gradient)
        weight.grad = gradient / counted.clamp(min=1)
    optimizer.step()


def _check(name: str, values: list[Tensor]) -> None:
    if not all(value.isfinite().all() for value in values):
        raise FloatingPointError(
            f'terms.{name}: what is trained before the student is not finite: lower lr '
            'in its recipe.'
        )


def _share_statistics(prelude: Prelude) -> None:
    """Give all ranks the mean of what their norms have counted."""
    learned = set(prelude.learned)
    for name, buffer in prelude.net.named_buffers():
        if name not in learned and buffer.is_floating_point():
            all_reduce(buffer, 'mean')


def batches(loader: DataLoader[Any], steps: int, seed: int) -> Iterable[Any]:
    """Batches of a dataloader's data set, shuffled, shared out among the ranks."""
    dataset: Any = loader.dataset
    size = _batch(loader)
    yield from DataLoader(
        dataset,
        batch_size=size,
        sampler=_Order(len(dataset), size * steps, seed),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        pin_memory=loader.pin_memory,
    )


def _batch(loader: Any) -> int:
    size: int = loader.batch_sampler.batch_size
    return size


class _Order:
    """This rank's share of a data set's indices, shuffled anew in every round."""

    def __init__(self, length: int, count: int, seed: int) -> None:
        self.length = length
        self.count = count
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        world = get_world_size()
        indices = self._all(generator)
        return itertools.islice(indices, get_rank(), self.count * world, world)

    def _all(self, generator: torch.Generator) -> Iterator[int]:
        while True:
            yield from torch.randperm(self.length, generator=generator).tolist()
