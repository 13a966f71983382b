"""DKD: Decoupled Knowledge Distillation (Zhao et al., 2203.08679)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkd.arguments import Positive, Weight
from mmkd.loss import Loss, exact
from mmkd.losses.functional import kl_divergence, without_target
from mmkd.regions import NOTHING, masked_mean, rows
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class DKD(Loss):
    r"""Match how likely the target is and, apart from it, how likely the others are.

    .. math:: \frac{\tau^2}{M} \sum_m \alpha\, \mathrm{KL}(b^t_m \Vert b^s_m)
        + \beta\, \mathrm{KL}(\hat p^t_m \Vert \hat p^s_m)

    Here :math:`b = (p_y, 1 - p_y)` with :math:`p = \mathrm{softmax}(z / \tau)`, and
    :math:`\hat p` is the softmax over all classes but the target y. The mean is over M
    rows: images, regions, or pixels that have a label. With :math:`1 - p^t_y` in place
    of beta, this is :class:`mmkd.losses.KD`.

    mdistiller has weight 1 for this reduction. Beta grows with how sure the teacher is:
    from 2 to 8 on CIFAR-100 (tau 4, after a warm-up of 20 epochs), 0.5 for ResNet-34 to
    ResNet-18 on ImageNet and 0.25 for COCO's RoIs (tau 1).

    Args:
        tau: Temperature.
        alpha: Weight of the target against the rest.
        beta: Weight of the others among themselves.
    """

    on_classes = True

    def __init__(
        self, tau: Positive = 4.0, alpha: Weight = 1.0, beta: Weight = 8.0
    ) -> None:
        super().__init__()
        self.tau, self.alpha, self.beta = tau, alpha, beta

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (M, K) or (N, K, H, W), with the class of each row."""
        targets = targets or Targets()
        s, labels = rows(student, targets)
        t, _ = rows(teacher, targets)
        there = labels.clamp(min=0)
        others = [without_target(x, there) for x in (s, t)]
        two = [self._two(*pair, there) for pair in zip((s, t), others)]
        # The values of two are divided by tau already.
        target = kl_divergence(two[0], two[1], 1.0, dim=1) * self.tau**2
        rest = kl_divergence(others[0], others[1], self.tau, dim=1)
        return masked_mean(self.alpha * target + self.beta * rest, labels != NOTHING)

    def _two(self, logits: Tensor, others: Tensor, labels: Tensor) -> Tensor:
        """Logits (M, 2) of the target and of all others together."""
        target = logits.gather(1, labels[:, None]) / self.tau
        rest = (others / self.tau).logsumexp(1, keepdim=True)
        return torch.cat([target, rest], 1)
