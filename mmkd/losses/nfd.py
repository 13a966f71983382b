"""NFD: Normalized Feature Distillation for Semantic Segmentation (Liu et al.,
2207.05256).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.losses.functional import standardised
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class NFD(Loss):
    r"""Match where a map is active, whatever each image's mean and scale of a channel.

    .. math:: \frac{1}{N C H W} \sum (\hat s - \hat t)^2, \quad
        \hat x = \frac{x - \mu_{nc}}{\sigma_{nc} + 10^{-6}}

    Mean and deviation are those of one image's channel over its positions. It is
    2 (1 - r), the mean over images and channels of Pearson's correlation r, times
    (n - 1) / n with the n = H W positions.

    RECONSTRUCTION: no code of the authors is public. That features are normalised so is
    quoted by others; the mean over all elements, the deviation's epsilon and that it is
    a sample's are ours, and so are places and weights.
    """

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W)."""
        s, t = (standardised(x, (2, 3)) for x in (student, teacher))
        return F.mse_loss(s, t)
