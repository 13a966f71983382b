"""CD, GKD: Channel Distillation: Channel-Wise Attention for Knowledge Distillation
(Zhou et al., 2006.01683).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.arguments import Positive
from mmkd.loss import Loss, exact
from mmkd.losses.functional import kl_divergence
from mmkd.regions import NOTHING, masked_mean, rows
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class CD(Loss):
    r"""Match how active each channel is on the whole.

    .. math:: \frac{1}{N C} \sum_{n,c} \Big( \frac{1}{H_s W_s} \sum_i s_{nci}
        - \frac{1}{H_t W_t} \sum_i t_{nci} \Big)^2

    The student's maps stand behind a 1x1 convolution, BatchNorm and ReLU. The authors
    have weight 6 for this reduction on each of four stages, which decays in time: their
    Early Decay Teacher is a schedule.
    """

    same_shape = False  # sizes of maps may differ

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W) of any sizes."""
        s, t = (x.flatten(2).mean(2) for x in (student, teacher))
        if s.shape != t.shape:
            raise ValueError(
                f'CD compares channels, and the student has {s.shape[1]}, the teacher '
                f"{t.shape[1]}: connector=dict(type='mmkd.Align', space='keep')."
            )
        return F.mse_loss(s, t)


@MODELS.register_module()
class GKD(Loss):
    r"""Match class probabilities where the teacher is right.

    .. math:: \frac{\tau^2}{\max(1, |R|)} \sum_{m \in R} \sum_k
        p^t_{mk} (\log p^t_{mk} - \log p^s_{mk}), \quad
        R = \{ m : \mathrm{argmax}_k\, t_{mk} = y_m \}

    Here p is the softmax at temperature :math:`\tau` and y the label. Summed over
    classes, averaged over the rows R: images, regions, or pixels that have a label. It
    is zero if the teacher is right nowhere, where the authors divide by zero. They have
    weight 1 on ImageNet and 0.1 on CIFAR-100, with tau 1.

    Args:
        tau: Temperature.
    """

    on_classes = True

    def __init__(self, tau: Positive = 1.0) -> None:
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
        right = (labels != NOTHING) & (t.argmax(1) == labels)
        return masked_mean(kl_divergence(s, t, self.tau, dim=1), right)
