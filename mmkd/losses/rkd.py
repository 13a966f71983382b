"""RKD: Relational Knowledge Distillation (Park et al., CVPR 2019, 1904.05068)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class RKD(Loss):
    r"""Match the distances of images, and the angles that three of them form.

    .. math:: \frac{w_d}{N^2} \sum_{ij} h(d^s_{ij} - d^t_{ij})
        + \frac{w_a}{N^3} \sum_{ijk} h(a^s_{ijk} - a^t_{ijk})

    with the Huber function h (1/2 x^2 up to 1, linear from there), the distance of two
    images over the mean of all that are not zero,
    :math:`d_{ij} \propto \| f_i - f_j \|`, and the cosine of the angle at j,
    :math:`a_{ijk} = \cos(f_i - f_j, f_k - f_j)`. N images of the batch that a rank
    sees, those that coincide included. The angles cost N^3 numbers and N^3 C
    multiplications for C channels, the differences N^2 C numbers: pooled features, no
    maps.

    The authors' weights for CIFAR-100 are 25 and 50, and 1 for the term: RepDistiller,
    and mmrazor for ImageNet, which normalises the features first.

    Args:
        distance: Weight of the distances, w_d.
        angle: Weight of the angles, w_a; with 0 they are not computed.
        normalise: Give every image's features length 1 first.
    """

    same_shape = False  # only the number of images must agree

    def __init__(
        self, distance: float = 25.0, angle: float = 50.0, normalise: bool = False
    ) -> None:
        super().__init__()
        self.distance, self.angle = distance, angle
        self.normalise = normalise

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare features (N, ...)."""
        s, t = self._differences(student), self._differences(teacher)
        total = self.distance * F.smooth_l1_loss(_distances(s), _distances(t))
        if self.angle:
            total = total + self.angle * F.smooth_l1_loss(_cosines(s), _cosines(t))
        return total

    def _differences(self, x: Tensor) -> Tensor:
        """From each image to each: (N, N, C)."""
        x = x.flatten(1)
        if self.normalise:
            x = F.normalize(x)
        return x - x[:, None]


def _distances(apart: Tensor) -> Tensor:
    """Lengths of differences (N, N), with mean 1 where images do not coincide."""
    far = torch.linalg.vector_norm(apart, dim=2)
    mean = far.sum() / (far > 0).sum().clamp(min=1)
    return far / mean.clamp(min=1e-12)


def _cosines(apart: Tensor) -> Tensor:
    """Of the angle at each image between each two (N, N, N)."""
    way = F.normalize(apart, dim=2)
    cosines: Tensor = way @ way.mT
    return cosines
