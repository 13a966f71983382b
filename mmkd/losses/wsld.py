"""WSLD: Rethinking Soft Labels for Knowledge Distillation (Zhou et al., 2102.00650)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.arguments import Positive
from mmkd.loss import Loss, exact
from mmkd.regions import NOTHING, masked_mean, rows
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class WSLD(Loss):
    r"""Match class probabilities, the less where the student already knows the label.

    .. math:: -\frac{\tau^2}{M} \sum_m \Big( 1 - \exp \Big( -\frac{\log s_{my}}
        {\log t_{my}} \Big) \Big) \sum_k p^t_{mk} \log p^s_{mk}, \quad
        p = \mathrm{softmax}(z / \tau)

    Here s and t are the softmaxes at temperature 1 and y is the label, so that the
    weight of a row, in which no gradient flows, is the larger the worse the student is
    than the teacher. The mean is over M rows: images, regions, or pixels that have a
    label. It is a cross-entropy: not zero where both sides are equal.

    The authors have weight 2.5 for this reduction with tau 2 on ImageNet, beside
    cross-entropy with weight 1; cls_KD has 2.25 with tau 4 on CIFAR-100.

    Args:
        tau: Temperature.
    """

    on_classes = True

    def __init__(self, tau: Positive = 2.0) -> None:
        super().__init__()
        self.tau = tau

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (M, K) or (N, K, H, W), with the class of each row."""
        targets = targets or Targets()
        s, labels = rows(student, targets)
        t, _ = rows(teacher, targets)
        soft = F.cross_entropy(
            s / self.tau, (t / self.tau).softmax(1), reduction='none'
        )
        weights = _weights(s.detach(), t, labels.clamp(min=0))
        return masked_mean(self.tau**2 * weights * soft, labels != NOTHING)


def _weights(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Weights (M,) from 0, where the student knows the label far better, to 1."""
    s, t = (F.cross_entropy(x, labels, reduction='none') for x in (student, teacher))
    return -torch.expm1(-s / (t + 1e-7))
