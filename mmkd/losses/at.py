"""AT: Paying More Attention to Attention (Zagoruyko and Komodakis, 1612.03928)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.losses.functional import same_size
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class AT(Loss):
    r"""Match where in the map a network looks.

    .. math:: \frac{1}{N H W} \sum_{n,i} (q^s_{ni} - q^t_{ni})^2, \quad
        q = \mathrm{normalise}_2(\mathrm{flatten}(\mathrm{mean}_c\, x^2))

    Of maps of two sizes the larger one is pooled. ``reduction='mean'`` is this formula
    (the authors and RepDistiller: weight 1000, on CIFAR and on ImageNet; FRSKD: 100 on
    CIFAR-100). The maps have length 1, so its greatest value is 2 / HW: small maps
    count more, and the weight belongs to one resolution.

    ``reduction='batch'`` leaves the division by HW out: at most 2 for every size.

    Args:
        reduction: 'mean' or 'batch'.
    """

    same_shape = False  # channels may differ: the mean over them is compared

    def __init__(self, reduction: Literal['mean', 'batch'] = 'mean') -> None:
        super().__init__()
        self.reduction = reduction

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W)."""
        student, teacher = same_size(student, teacher)
        squared = (attention(student) - attention(teacher)).pow(2)
        return squared.mean() if self.reduction == 'mean' else squared.sum(1).mean()


def attention(x: Tensor) -> Tensor:
    """Energy of each position of a map, (N, HW), with length 1."""
    return F.normalize(x.square().sum(1).flatten(1), dim=1)  # same[dim]: the default
