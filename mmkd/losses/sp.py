"""SP: Similarity-Preserving Knowledge Distillation (Tung and Mori, 1907.09682)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class SP(Loss):
    r"""Match how alike the images of a batch are.

    .. math:: \frac{1}{N^2} \| G_s - G_t \|_F^2, \quad
        G = \mathrm{normalise\ rows}(F F^T)

    F has a row for each of the N images of the batch that a rank sees. RepDistiller
    uses weight 3000 with this reduction on CIFAR-100.
    """

    same_shape = False  # only the number of images must agree

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare features (N, ...)."""
        return F.mse_loss(_similarity(student), _similarity(teacher))


def _similarity(x: Tensor) -> Tensor:
    rows = x.flatten(1)
    return F.normalize(rows @ rows.T, dim=1)
