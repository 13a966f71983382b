"""OFD: A Comprehensive Overhaul of Feature Distillation (Heo et al., ICCV 2019,
1904.01866).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Levels, Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class OFD(Loss):
    r"""Match what is behind the teacher's ReLU, and be below zero where it is.

    .. math:: \sum_{i=1}^n \frac{1}{2^{n-i} N} \sum (s_i - \hat t_i)^2
        [s_i > \hat t_i \lor \hat t_i > 0], \quad \hat t = \max(t, m)

    Summed over channels and positions; t are features *before* a ReLU, shallow to deep,
    s the student's behind a 1x1 convolution and a BatchNorm. The margin m is what a
    negative value is on average. Of a norm with weight 1 and bias 0 that is
    :math:`-\sqrt{2 / \pi}`. It is what FRSKD has, whose self-teacher knows nothing when
    it is looked up; the paper has a margin for each channel of a trained teacher. The
    authors' weight on CIFAR-100 is 0.001.

    Args:
        margin: The m.
    """

    joint = True  # all levels together: their weights depend on how many there are

    def __init__(self, margin: float = -math.sqrt(2 / math.pi)) -> None:
        super().__init__()
        self.margin = margin

    @exact
    def forward(
        self, student: Levels, teacher: Levels, targets: Targets | None = None
    ) -> Tensor:
        """Compare levels (N, C, H, W), shallow to deep."""
        # same[0 -> -1]: all levels are on one device
        total = student[0].sum() * 0.0
        for i, (s, t) in enumerate(zip(student, teacher), start=1):
            t = t.clamp(min=self.margin)
            above = s > t  # same[Gt -> GtE]: equal numbers are not apart
            t = torch.where(above | (t > 0), t, s.detach())  # else nothing to learn
            apart = F.mse_loss(s, t, reduction='sum') / len(s)
            total = total + apart / 2 ** (len(student) - i)
        return total
