"""Squared error: FitNets (Romero et al., 1412.6550) and the loss of CWT and MGD."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class MSE(Loss):
    r"""Squared error between features.

    ``reduction='mean'``: :math:`\mathrm{mean}\,(s - t)^2` over every element (FitNets;
    RepDistiller uses weight 100 with it on CIFAR-100).

    ``reduction='batch'``: :math:`\frac{1}{N} \sum (s - t)^2`, summed over channels and
    positions (CWT, MGD; see ``configs/cwt`` for weights per task). It is C*H*W times
    the mean.

    Args:
        reduction: 'mean' or 'batch'.
    """

    def __init__(self, reduction: Literal['mean', 'batch'] = 'mean') -> None:
        super().__init__()
        self.reduction = reduction

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare features of any shape (N, ...)."""
        if self.reduction == 'mean':
            return F.mse_loss(student, teacher)
        return F.mse_loss(student, teacher, reduction='sum') / student.shape[0]
