"""The branch of SAKD-style distillation, and what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mmkd.arguments import Positive, Share
from mmkd.prelude import Prelude, Recipe, Seen
from mmkd.targets import Targets

# RECONSTRUCTION: as HSAKD trains classifiers on a frozen teacher's features
# (winycg/HSAKD, train_teacher_cifar.py).
HSAKD: Mapping[str, Any] = MappingProxyType(
    dict(
        epochs=10,  # there 100
        lr=0.05,
        momentum=0.9,
        weight_decay=5e-4,
        nesterov=True,
        milestones=(0.3, 0.6, 0.9),
        gamma=0.1,
    )
)
# How many regions are enough to know mean and deviation of the vectors.
ENOUGH = 10_000


@dataclass(frozen=True)
class Limits:
    """When to warn of a branch.

    Args:
        weak: It is right about less than this share of what the most frequent class
            leaves.
        confident: Its logits have a larger standard deviation.
        gap: Its training accuracy exceeds the validation's by more.
    """

    weak: Share = 0.1
    confident: Positive = 4.0
    gap: Share = 0.3


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
            f'the branch on the teacher classifies {self.train:.1%} of the training '
            f'regions{val} (the most frequent class: {self.chance:.1%}); its logits '
            f'have standard deviation {self.scale:.2f}.'
        )

    def doubts(self, limits: Limits) -> list[str]:
        """What speaks against learning from such a branch."""
        found = []
        if self.train < self.chance + limits.weak * (1 - self.chance):
            found.append(
                f'The branch is weak: {self.train:.1%}, where the most frequent '
                f'class alone gives {self.chance:.1%}. It has little to teach. Train '
                'it longer (recipe), or tap deeper levels.'
            )
        if self.scale > limits.confident:
            found.append(
                f'The branch is over-confident: its logits have standard deviation '
                f"{self.scale:.2f}, more than {limits.confident}. Raise the recipe's "
                'weight_decay, or lower standardize or uniformize.size.'
            )
        if self.val is not None and self.train - self.val > limits.gap:
            found.append(
                f'The branch is over-fitted: {self.train:.1%} in training, '
                f"{self.val:.1%} in validation. Raise the recipe's weight_decay, or "
                'lower standardize or uniformize.size.'
            )
        return found


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

    def result(self, device: torch.device) -> tuple[float, float, float] | None:
        """Accuracy, share of the most frequent label, deviation of the logits.

        None if there was nothing to count.
        """
        sums, labels = self.sums.to(device), self.labels.to(device)
        all_reduce(sums)
        all_reduce(labels)
        count = float(labels.sum())
        if not count:
            return None
        right, squares = (sums / count).tolist()
        return right, float(labels.max()) / count, math.sqrt(squares)


class Branch(Prelude):
    r"""A linear classifier of the teacher's vectors.

    It sees :math:`l \, (u - m) / (\sqrt{D} \, d)`, where m and d are mean and deviation
    of the teacher's vectors, entry by entry, and l is the length that is wanted.

    Args:
        vectors: Makes vectors (R, D) of R regions, and their labels, of levels.
        length: The l, about which the vectors have then. 0: they stay as they are.
        example: Vectors (R, D).
        classes: How many there are.
        recipe: How it learns. None: random weights are meant.
        limits: When to warn of it.
    """

    mean: Tensor
    factor: Tensor
    scale: Tensor

    def __init__(  # noqa: PLR0913
        self,
        vectors: nn.Module,
        length: float,
        example: Tensor,
        classes: int,
        recipe: Recipe | None,
        limits: Limits,
    ) -> None:
        size = example.shape[1]
        net: Any = nn.utils.skip_init(nn.Linear, size, classes)  # type: ignore
        nn.init.zeros_(net.bias)
        if recipe is None:
            nn.init.normal_(net.weight, std=0.1)
        else:
            nn.init.zeros_(net.weight)
        super().__init__(net, recipe)
        self.vectors = vectors
        self.length = length
        self.classes = classes
        self.limits = limits
        self.seen = Tally(classes)
        self.found: Report | None = None
        self.register_buffer('mean', torch.zeros(size))
        self.register_buffer('factor', torch.ones(size))
        self.register_buffer('scale', torch.ones(()))  # deviation of the logits
        self.to(example)

    def standardized(self, vectors: Tensor) -> Tensor:
        """Vectors (R, D), of the teacher or the student, as they are classified."""
        return (vectors - self.mean) * self.factor

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits (R, K) of vectors (R, D), of the teacher or the student."""
        logits: Tensor = self.net(self.standardized(vectors))
        return logits

    @torch.no_grad()
    def prepare(self, batches: Iterable[Seen]) -> None:
        """Find mean and deviation of the teacher's vectors."""
        if not self.length:
            return
        size = len(self.mean)
        sums = self.mean.new_zeros(2 * size + 1, dtype=torch.float64)
        for teacher, targets in batches:
            u = self.vectors(teacher, targets)[0].double()
            sums += torch.cat([u.sum(0), u.square().sum(0), sums.new_tensor([len(u)])])
            if sums[-1] * get_world_size() >= ENOUGH:
                break
        all_reduce(sums)
        mean, squares = torch.split(sums[:-1] / sums[-1].clamp(min=1), size)
        deviation = (squares - mean.square()).clamp(min=0).sqrt()
        # An entry that hardly varies is rounding: it is not made large.
        factor = self.length / size**0.5 / deviation.clamp(min=1e-3)
        self.mean.copy_(mean)
        self.factor.copy_(factor)

    def objective(self, teacher: Any, targets: Targets) -> tuple[Tensor, int]:
        """Cross-entropy of the regions."""
        with torch.no_grad():
            vectors, labels = self.vectors(teacher, targets)
        if labels is None:
            raise ValueError("SAKD's branch needs labels to learn.")
        logits = self(vectors)
        if self.closing:
            self.seen.add(logits.detach(), labels)
        return F.cross_entropy(logits, labels, reduction='sum'), len(logits)

    def review(self, batches: Iterable[Seen]) -> None:
        """Tell how many regions it gets right, and how large its logits are."""
        train, chance, scale = self.seen.result(self.done.device) or (0.0, 0.0, 0.0)
        val = self._validated(batches).result(self.done.device)
        self.found = Report(train, val[0] if val else None, chance, scale)
        self.scale.fill_(max(scale, 1e-3))

    @torch.no_grad()
    def _validated(self, batches: Iterable[Seen]) -> Tally:
        """Counts of validation data, if there are labels that fit."""
        seen = Tally(self.classes)
        for teacher, targets in batches:
            vectors, labels = self.vectors(teacher, targets)
            # Pipelines leave validation boxes as they are while they resize the image.
            if targets.boxes is not None or labels is None:
                return Tally(self.classes)
            seen.add(self(vectors), labels)
        return seen

    def report(self) -> list[str]:
        """How many regions it gets right, and how large its logits are."""
        return [] if self.found is None else [str(self.found)]

    def doubts(self) -> list[str]:
        """What its report says against it."""
        return [] if self.found is None else self.found.doubts(self.limits)
