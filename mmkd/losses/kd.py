"""KD: Distilling the Knowledge in a Neural Network (Hinton et al., 1503.02531)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Positive
from mmkd.losses.functional import exact, kl_divergence
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class KD(nn.Module):
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
        activation: 'softmax', or 'sigmoid' for heads that decide class by class
            (RetinaNet's): then the sum is over classes of the KL of two Bernoullis. An
            extension, not in the paper.
        ignore: Leave ignored pixels out where a segmentation map is known.
    """

    on_classes = True

    def __init__(
        self, tau: Positive = 4.0, activation: str = 'softmax', ignore: bool = True
    ) -> None:
        super().__init__()
        if activation not in ('softmax', 'sigmoid'):
            raise ValueError(f"KD activation '{activation}': softmax or sigmoid")
        self.tau = tau
        self.activation = activation
        self.ignore = ignore

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (N, K) or (N, K, H, W)."""
        if self.activation == 'sigmoid':
            s, t = student / self.tau, teacher / self.tau
            probability = t.sigmoid()
            entropy = F.binary_cross_entropy_with_logits(
                t, probability, reduction='none'
            )
            cross = F.binary_cross_entropy_with_logits(s, probability, reduction='none')
            values = (cross - entropy).sum(1) * float(self.tau) ** 2
        else:
            values = kl_divergence(student, teacher, self.tau, dim=1)
        seg_map = targets.seg_map if self.ignore and targets else None
        if student.ndim != 4 or targets is None or seg_map is None:
            return values.sum() / max(1, values.numel())  # a batch may have no RoI
        small = F.interpolate(
            seg_map[:, None].float(), values.shape[1:], mode='nearest'
        )
        valid = small[:, 0] != targets.ignore_index
        mean: Tensor = (values * valid).sum() / valid.sum().clamp(min=1)
        return mean
