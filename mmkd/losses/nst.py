"""NST: Like What You Like: Neuron Selectivity Transfer (Huang and Wang, 1707.01219)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.losses.functional import same_size
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class NST(Loss):
    r"""Match where channels are active, whichever channel it is.

    .. math:: \frac{1}{N} \sum_n \Big( \frac{1}{C_s^2} \sum_{c,d} k(s_{nc}, s_{nd})
        + \frac{1}{C_t^2} \sum_{c,d} k(t_{nc}, t_{nd})
        - \frac{2}{C_s C_t} \sum_{c,d} k(s_{nc}, t_{nd}) \Big),
        \quad k(a, b) = (a^T b)^2

    The maximum mean discrepancy of the channels' maps, each of length 1 over its HW
    positions, under a polynomial kernel. That is the squared distance between the two
    sides' mean products of positions, which is computed instead where there are fewer
    positions than channels. Of maps of two sizes the larger one is pooled. RepDistiller
    uses weight 50 on CIFAR-100, with this reduction.
    """

    same_shape = False

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W); C may differ."""
        s, t = (F.normalize(x.flatten(2), dim=2) for x in same_size(student, teacher))
        if s.shape[2] < max(s.shape[1], t.shape[1]):
            apart = s.mT @ s / s.shape[1] - t.mT @ t / t.shape[1]
            return apart.square().sum() / len(s)
        return _kernel(s, s) + _kernel(t, t) - 2 * _kernel(s, t)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Mean of the kernel over images and pairs of channels."""
    return (a @ b.mT).square().mean()
