"""PKT: Learning Deep Representations with Probabilistic Knowledge Transfer
(Passalis and Tefas, ECCV 2018, 1803.10837).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets

EPS = 1e-7  # the authors'


@MODELS.register_module()
class PKT(Loss):
    r"""Match how probably each image of a batch would choose each as its neighbour.

    .. math:: \frac{1}{N^2} \sum_{ij} p^t_{ij}
        \log \frac{p^t_{ij} + \epsilon}{p^s_{ij} + \epsilon}, \quad
        p_{ij} = \frac{k_{ij}}{\sum_l k_{il}}, \quad
        k_{ij} = \frac{1 + \cos(f_i, f_j)}{2}

    N images of the batch that a rank sees, each one its own neighbour too. RepDistiller
    uses weight 30000 with this reduction on CIFAR-100, for batches of 64. Every p is
    near 1/N: with twice as many images the value is about a quarter.
    """

    same_shape = False  # only the number of images must agree

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare features (N, ...)."""
        s, t = _neighbours(student), _neighbours(teacher)
        return (t * torch.log((t + EPS) / (s + EPS))).mean()


def _neighbours(x: Tensor) -> Tensor:
    """The probabilities (N, N) of each image's neighbours."""
    rows = x.flatten(1)
    rows = rows / (torch.linalg.vector_norm(rows, dim=1, keepdim=True) + EPS)
    alike: Tensor = (rows @ rows.T + 1) / 2
    return alike / alike.sum(1, keepdim=True)
