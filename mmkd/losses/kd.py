"""KD: Distilling the Knowledge in a Neural Network (Hinton et al., 1503.02531)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.arguments import Positive
from mmkd.loss import Loss, exact
from mmkd.losses.functional import kl_divergence
from mmkd.regions import masked_mean, valid
from mmkd.registry import MODELS
from mmkd.targets import Targets


class _OfPositions(Loss):
    """A value for every image, region or pixel, and their mean.

    Args:
        tau: Temperature.
        ignore: Leave ignored pixels out where a segmentation map is known.
    """

    on_classes = True

    def __init__(self, tau: Positive = 4.0, ignore: bool = True) -> None:
        super().__init__()
        self.tau = tau
        self.ignore = ignore

    def values(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Values (N,) or (N, H, W) of logits (N, K) or (N, K, H, W)."""
        raise NotImplementedError

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (N, K) or (N, K, H, W)."""
        values = self.values(student, teacher)
        where = valid(student, targets) if self.ignore else None
        return masked_mean(values, where)  # of none: a batch may have no RoI


@MODELS.register_module()
class KD(_OfPositions):
    r"""Match softened class probabilities.

    .. math:: \frac{\tau^2}{M} \sum_m \sum_k p^t_{mk} (\log p^t_{mk} - \log p^s_{mk}),
        \quad p = \mathrm{softmax}_k(z / \tau)

    Summed over classes, averaged over the M other positions: images for (N, K), pixels
    for (N, K, H, W), where pixels that ``targets.seg_map`` marks as ignored are left
    out. In distributed training each rank counts its own M, and the mean over ranks is
    taken, as of the student's losses; with as many valid pixels on all it is that over
    all. The paper gives no weight per task; CIFAR-100 practice is tau 4 with 0.9 of it
    and 0.1 of cross-entropy, ImageNet practice tau 1 with halves.

    Args:
        tau: Temperature.
        ignore: Leave ignored pixels out where a segmentation map is known.
    """

    def __init__(self, tau: Positive = 4.0, ignore: bool = True) -> None:
        super().__init__(tau, ignore)
        self.softmax_at = float(tau)

    def values(self, student: Tensor, teacher: Tensor) -> Tensor:
        """KL over classes, times tau squared."""
        return kl_divergence(student, teacher, self.tau, dim=1)


@MODELS.register_module()
class BinaryKD(_OfPositions):
    r"""KD for heads that decide class by class, by sigmoids (RetinaNet's, masks').

    .. math:: \frac{\tau^2}{M} \sum_m \sum_k \mathrm{KL}\big(
        \mathrm{Bernoulli}(\sigma(t_{mk} / \tau)) \,\Vert\,
        \mathrm{Bernoulli}(\sigma(s_{mk} / \tau)) \big)

    Reduced as :class:`KD`. An extension, not in the paper.

    Args:
        tau: Temperature.
        ignore: Leave ignored pixels out where a segmentation map is known.
    """

    def values(self, student: Tensor, teacher: Tensor) -> Tensor:
        """KL of two Bernoullis, summed over classes, times tau squared."""
        s, t = student / self.tau, teacher / self.tau
        probability = t.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(t, probability, reduction='none')
        cross = F.binary_cross_entropy_with_logits(s, probability, reduction='none')
        return (cross - entropy).sum(1) * float(self.tau) ** 2
