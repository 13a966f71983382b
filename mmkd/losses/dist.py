"""DIST: Knowledge Distillation from A Stronger Teacher (Huang et al., 2205.10536)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkd.arguments import Positive, Weight
from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class DIST(Loss):
    r"""Match how probabilities vary over classes and over images, not what they are.

    .. math:: \tau^2 \Big( \beta \big( 1 - \frac{1}{M} \sum_m \rho(p^s_{m\cdot},
        p^t_{m\cdot}) \big) + \gamma \big( 1 - \frac{1}{K} \sum_k \rho(p^s_{\cdot k},
        p^t_{\cdot k}) \big) \Big), \quad p = \mathrm{softmax}_k(z / \tau)

    Rho is Pearson's correlation: of a row's K classes, then of a class over all M rows.
    A row is an image, a region or a pixel, ignored pixels included. It couples the
    batch: in distributed training each rank compares the rows that it sees, and the
    mean over ranks is taken.

    The authors have weight 2 for this reduction with tau 1 on ImageNet and tau 4 on
    CIFAR-100, and weight 1 with tau 1 for pixels of Cityscapes and regions of COCO.

    Args:
        tau: Temperature.
        beta: Weight of the relations between classes.
        gamma: Weight of those between images.
    """

    on_classes = True

    def __init__(
        self, tau: Positive = 1.0, beta: Weight = 1.0, gamma: Weight = 1.0
    ) -> None:
        super().__init__()
        self.tau, self.beta, self.gamma = tau, beta, gamma

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of logits (N, K, ...), in their shape."""
        return (logits / self.tau).softmax(1)

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (N, K) or (N, K, H, W)."""
        if not student.numel():
            return student.sum()  # a batch without regions
        s, t = self.probabilities(student), self.probabilities(teacher)
        rows = [dim for dim in range(s.ndim) if dim != 1]
        value = self.beta * _unlike(s, t, [1]) + self.gamma * _unlike(s, t, rows)
        return self.tau**2 * value


@MODELS.register_module()
class BinaryDIST(DIST):
    """DIST for heads that decide class by class, by sigmoids (RetinaNet's).

    The authors have weight 1 for each level of RetinaNet's class scores, where a row is
    a position and has the scores of all its anchors.

    Args:
        tau: Temperature.
        beta: Weight of the relations between classes.
        gamma: Weight of those between images.
    """

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of logits (N, K, ...), in their shape."""
        return (logits / self.tau).sigmoid()


def _unlike(x: Tensor, y: Tensor, dims: list[int]) -> Tensor:
    """1 minus Pearson's correlation over some dimensions, averaged over the others."""
    x, y = (z - z.mean(dims, keepdim=True) for z in (x, y))
    lengths = [torch.linalg.vector_norm(z, dim=dims) for z in (x, y)]
    alike = (x * y).sum(dims) / (lengths[0] * lengths[1] + 1e-8)
    unlike: Tensor = 1 - alike.mean()
    return unlike
