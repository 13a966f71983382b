"""VID: Variational Information Distillation (Ahn et al., CVPR 2019, 1904.05835)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Positive
from mmkd.loss import Loss, Site, exact
from mmkd.losses.functional import same_size
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class VID(Loss):
    r"""Let the student tell each channel of the teacher's map as a normal distribution.

    .. math:: \mathrm{mean}_{n,c,i}\, \frac{1}{2} \Big(
        \frac{(\mu(s)_{nci} - t_{nci})^2}{\sigma_c^2} + \log \sigma_c^2 \Big)

    The mean :math:`\mu` is a regressor of three 1x1 convolutions with ReLUs between
    them; the variance is learned too, one number for a channel, the same everywhere. Of
    maps of two sizes the larger one is pooled. It is a log-likelihood, less a constant,
    and may fall below zero. RepDistiller uses weight 1 on CIFAR-100.

    Args:
        variance: The :math:`\sigma^2` at first.
        eps: What it never falls below.
    """

    same_shape = False

    def __init__(self, variance: Positive = 5.0, eps: Positive = 1e-5) -> None:
        super().__init__()
        self.variance = variance
        self.eps = eps

    def build(self, site: Site) -> None:
        """Make the regressor, as wide as the teacher."""
        inside, outside = (x[0].shape[1] for x in (site.students, site.teachers))
        start = math.log(math.expm1(self.variance - self.eps))  # softplus backwards
        self.log_scale = nn.Parameter(torch.full((outside,), start))
        self.regress = nn.Sequential(
            nn.Conv2d(inside, outside, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 1, bias=False),
        )

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W)."""
        student, teacher = same_size(student, teacher)
        variance = F.softplus(self.log_scale) + self.eps
        apart = (self.regress(student) - teacher).square().mean((0, 2, 3))
        value: Tensor = (apart / variance + variance.log()).mean() / 2
        return value
