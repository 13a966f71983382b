"""PKD: General Distillation Framework for Object Detectors via Pearson Correlation
Coefficient (Cao et al., NeurIPS 2022, 2207.02039).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.losses.functional import standardised
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class PKD(Loss):
    r"""Match each channel's pattern, whatever its mean and its scale.

    .. math:: \frac{1}{2 N C H W} \sum (\hat s - \hat t)^2, \quad
        \hat x = \frac{x - \mu_c}{\sigma_c + 10^{-6}}

    Mean and deviation are those of a channel over the images of a rank and all
    positions, padded ones among them. It is 1 - r, the mean over channels of Pearson's
    correlation r, times (n - 1) / n with the n = N H W values of a channel. The
    authors, in mmrazor, have weight 6 for this reduction on each of four FPN levels of
    Faster R-CNN, and 10 on RetinaNet's.
    """

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W)."""
        s, t = (standardised(x, (0, 2, 3)) for x in (student, teacher))
        return F.mse_loss(s, t) / 2
