"""TrainBranch: train SAKD's branch on the frozen teacher before the student starts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mmkd.build import model_of
from mmkd.randomness import own_randomness, seed_all
from mmkd.registry import HOOKS


@dataclass(frozen=True)
class Report:
    """What a trained branch can do.

    Args:
        train: Accuracy in the last epoch of its training, as it went.
        val: Accuracy on the validation data; None if there are none.
        chance: Share of the most frequent class among the training regions.
        scale: Standard deviation of a region's logits.
    """

    train: float
    val: float | None
    chance: float
    scale: float

    def __str__(self) -> str:
        val = '' if self.val is None else f', {self.val:.1%} of the validation regions'
        return (
            f'classifies {self.train:.1%} of the training regions{val} (the most '
            f'frequent class: {self.chance:.1%}); its logits have standard deviation '
            f'{self.scale:.2f}'
        )


@HOOKS.register_module()
class TrainBranch(Hook):  # type: ignore[misc]
    """Train every branch that a term needs, and say how good it is.

    It does nothing without :class:`mmkd.losses.SAKDBranch`, or if the weights of the
    branch were loaded with the distiller's. The data are those of the training
    dataloader, in an order of its own; the state of the random generators and of the
    student's sampler stay as they were.

    Args:
        weak: Warn of a branch that is right about less than this share of what the most
            frequent class leaves.
        confident: Warn of logits with a larger standard deviation.
        gap: Warn of a training accuracy that exceeds the validation's by more.
    """

    def __init__(
        self, weak: float = 0.1, confident: float = 4.0, gap: float = 0.3
    ) -> None:
        self.weak = weak
        self.confident = confident
        self.gap = gap
        self.reports: dict[str, Report] = {}

    def before_train(self, runner: Runner) -> None:
        """Train what is not trained yet; a resumed run has loaded it."""
        model = model_of(runner)
        for name, term in getattr(model, 'terms', {}).items():
            branch = term.loss
            if not hasattr(branch, 'judge') or branch.trained or not term.base_weight:
                continue
            with own_randomness():
                seed_all(runner.seed or 0, get_rank())
                self.reports[name] = report = _train(runner, Teacher(model, term))
            runner.logger.info(f'{name}: the branch on the teacher {report}.')
            for doubt in self.doubts(report):
                runner.logger.warning(f'{name}: {doubt}')

    def doubts(self, report: Report) -> list[str]:
        """What speaks against learning from such a branch."""
        found = []
        if report.train < report.chance + self.weak * (1 - report.chance):
            found.append(
                f'The branch is weak: {report.train:.1%}, where the most frequent '
                f'class alone gives {report.chance:.1%}. It has little to teach. Train '
                'it longer (recipe), or tap deeper levels.'
            )
        if report.scale > self.confident:
            found.append(
                f'The branch is over-confident: its logits have standard deviation '
                f'{report.scale:.2f}, more than {self.confident}. Raise tau or the '
                "recipe's weight_decay, or take a smaller uniformize.size."
            )
        if report.val is not None and report.train - report.val > self.gap:
            found.append(
                f'The branch is over-fitted: {report.train:.1%} in training, '
                f"{report.val:.1%} in validation. Raise the recipe's weight_decay, or "
                'take a smaller uniformize.size.'
            )
        return found


class Teacher:
    """What a term's branch sees of its frozen teacher.

    Args:
        model: The distiller.
        term: One of its terms, whose loss has a branch.
    """

    def __init__(self, model: Any, term: Any) -> None:
        if not getattr(model, 'frozen', None):
            raise ValueError(f'{term.name}: a branch needs a frozen teacher.')
        self.model = model
        self.term = term
        self.branch = term.loss

    def vectors(self, data: Any, training: bool) -> tuple[Tensor, Tensor | None]:
        """Vectors (R, D) of a batch's regions, and their labels (R,) or (R, K)."""
        with torch.no_grad():
            data = self.model.data_preprocessor(data, training)
            inputs, samples = data['inputs'], data['data_samples']
            sources, _ = self.model.teach(inputs, samples, [self.term])
            levels = self.term.teacher_levels(sources)
            found: tuple[Tensor, Tensor | None]
            found = self.branch.vectors(levels, self.targets(samples))
        return found

    def targets(self, samples: Any) -> Any:
        """The ground truth."""
        return self.model.task.targets(self.model.student, samples)


class Tally:
    """Counts over regions and ranks."""

    def __init__(self, classes: int) -> None:
        self.labels = torch.zeros(classes, dtype=torch.float64)
        self.sums = torch.zeros(2, dtype=torch.float64)  # right, squares of logits

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count logits (R, K) with labels (R,) or (R, K)."""
        hard = labels if labels.ndim == 1 else labels.argmax(1)
        right = (logits.argmax(1) == hard).sum()
        spread = (logits - logits.mean(1, keepdim=True)).square().mean(1).sum()
        self.sums += torch.stack([right.double(), spread.double()]).cpu()
        self.labels += hard.cpu().bincount(minlength=len(self.labels))

    def result(self, device: torch.device) -> tuple[float, float, float]:
        """Accuracy, share of the most frequent label, deviation of the logits."""
        sums, labels = self.sums.to(device), self.labels.to(device)
        all_reduce(sums)
        all_reduce(labels)
        count = max(1.0, float(labels.sum()))
        right, squares = (sums / count).tolist()
        return right, float(labels.max()) / count, math.sqrt(squares)


def _train(runner: Runner, teacher: Teacher) -> Report:
    """Train a branch, with the same weights on all ranks; tell what it can do."""
    branch, recipe = teacher.branch, teacher.branch.recipe
    loader = runner.train_dataloader
    size = loader.batch_sampler.batch_size
    epoch = math.ceil(len(loader.dataset) / (size * get_world_size()))
    steps = recipe.iters or recipe.epochs * epoch
    weights = [branch.frozen_weight, branch.frozen_bias]
    optimizer = torch.optim.SGD(
        weights,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    scheduler = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [round(share * steps) for share in recipe.milestones], recipe.gamma
    )
    runner.logger.info(f'{teacher.term.name}: {steps} iterations for the branch …')
    seen = Tally(len(branch.frozen_bias))
    for step, data in enumerate(_batches(loader, size, steps, runner.seed or 0)):
        vectors, labels = teacher.vectors(data, training=True)
        if labels is None:
            raise ValueError(f'{teacher.term.name}: a branch needs labels to learn.')
        for weight in weights:
            weight.requires_grad_(True)
        logits = branch.judge(vectors)
        if step >= steps - epoch:
            seen.add(logits.detach(), labels)
        loss = F.cross_entropy(logits, labels, reduction='sum')
        gradients = torch.autograd.grad(loss, weights)
        count = loss.new_tensor(float(len(logits)))
        all_reduce(count)
        for weight, gradient in zip(weights, gradients):
            weight.requires_grad_(False)
            all_reduce(gradient)
            weight.grad = gradient / count.clamp(min=1)
        optimizer.step()
        scheduler.step()
        if (step + 1) % max(1, steps // 5) == 0:
            mean = float(loss.detach()) / max(1, len(logits))
            runner.logger.info(f'  [{step + 1}/{steps}] loss {mean:.4f}')
    for weight in weights:
        weight.grad = None
    device = branch.frozen_weight.device
    train, chance, scale = seen.result(device)
    return Report(train, _validate(runner, teacher), chance, scale)


def _validate(runner: Runner, teacher: Teacher) -> float | None:
    """Accuracy on the validation data, if there are any with labels that fit."""
    if runner.val_loop is None:
        return None
    seen = Tally(len(teacher.branch.frozen_bias))
    for data in runner.val_dataloader:
        # Pipelines leave validation boxes as they are while they resize the image.
        if teacher.targets(data['data_samples']).boxes is not None:
            return None
        vectors, labels = teacher.vectors(data, training=False)
        if labels is None:
            return None
        seen.add(teacher.branch.judge(vectors), labels)
    accuracy, _, _ = seen.result(teacher.branch.frozen_weight.device)
    return accuracy


def _batches(
    loader: DataLoader[Any], size: int, steps: int, seed: int
) -> Iterable[Any]:
    """Batches of a dataloader's data set, shuffled, shared out among the ranks."""
    dataset: Any = loader.dataset
    return DataLoader(
        dataset,
        batch_size=size,
        sampler=_Order(len(dataset), size * steps, seed),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        pin_memory=loader.pin_memory,
    )


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
