"""NKD: From Knowledge Distillation to Self-Knowledge Distillation (2303.13005)."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from mmkd.arguments import Positive, Weight
from mmkd.loss import Loss, exact
from mmkd.losses.functional import without_target
from mmkd.regions import NOTHING, masked_mean, rows
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class NKD(Loss):
    r"""Match the target's probability, and the others' after they are made to sum to 1.

    .. math:: -\frac{1}{M} \sum_m \Big( p^t_{my} \log p^s_{my} + \gamma \tau^2
        \sum_{k \neq y} \hat p^t_{mk} \log \hat p^s_{mk} \Big)

    Here p is the softmax at temperature 1 and :math:`\hat p` that at tau over all
    classes but the target y. The mean is over M rows: images, regions, or pixels that
    have a label. These are cross-entropies: not zero where both sides are equal. Of
    soft labels the largest is the target.

    The authors have weight 1 for this reduction, with gamma 1.5 and tau 1 for CNNs on
    ImageNet, gamma 1 for transformers there, gamma 3.5 and tau 3 on CIFAR-100.

    Args:
        tau: Temperature of the others.
        gamma: Weight of the others.
    """

    on_classes = True

    def __init__(self, tau: Positive = 1.0, gamma: Weight = 1.5) -> None:
        super().__init__()
        self.tau, self.gamma = tau, gamma

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (M, K) or (N, K, H, W), with the class of each row."""
        targets = _hard(targets or Targets())
        s, labels = rows(student, targets)
        t, _ = rows(teacher, targets)
        there = labels.clamp(min=0)
        sure = t.softmax(1).gather(1, there[:, None])[:, 0]
        target = sure * F.cross_entropy(s, there, reduction='none')
        others = [without_target(x, there) / self.tau for x in (s, t)]
        rest = F.cross_entropy(others[0], others[1].softmax(1), reduction='none')
        values = target + self.gamma * self.tau**2 * rest
        return masked_mean(values, labels != NOTHING)


def _hard(targets: Targets) -> Targets:
    """With the likeliest class of images that are mixed."""
    if targets.labels is None and targets.scores is not None:
        return replace(targets, labels=targets.scores.argmax(1))
    return targets
