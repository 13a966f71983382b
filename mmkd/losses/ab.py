"""AB: Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden
Neurons (Heo et al., AAAI 2019, 1811.03233).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.arguments import Positive
from mmkd.loss import Levels, Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class AB(Loss):
    r"""Be active, with a margin, where the teacher is active, and only there.

    .. math:: \sum_{i=1}^n \frac{1}{2^{n-i} N} \sum \max(0, m - y_i s_i)^2, \quad
        y_i = \begin{cases} 1 & t_i > 0 \\ -1 & \text{else} \end{cases}

    Summed over channels and positions; s and t are features *before* a ReLU, shallow to
    deep. The authors and RepDistiller have it times 0.003, in a first stage of training
    without any other loss.

    Args:
        margin: The m.
    """

    joint = True  # all levels together: their weights depend on how many there are

    def __init__(self, margin: Positive = 1.0) -> None:
        super().__init__()
        self.margin = margin

    @exact
    def forward(
        self, student: Levels, teacher: Levels, targets: Targets | None = None
    ) -> Tensor:
        """Compare levels (N, C, H, W), shallow to deep."""
        total = student[0].sum() * 0.0
        for i, (s, t) in enumerate(zip(student, teacher), start=1):
            right = torch.where(t > 0, s, -s)
            apart = F.relu(self.margin - right).square().sum() / len(s)
            total = total + apart / 2 ** (len(student) - i)
        return total
