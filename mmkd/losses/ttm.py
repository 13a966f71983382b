"""TTM, WTTM: Distillation Based on Transformed Teacher Matching (2402.11148)."""

from __future__ import annotations

from torch import Tensor

from mmkd.arguments import Positive
from mmkd.loss import Loss, exact
from mmkd.losses.functional import kl_divergence
from mmkd.regions import masked_mean, valid
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class TTM(Loss):
    r"""Match the teacher's probabilities to a power with the student's as they are.

    .. math:: \frac{1}{M} \sum_m \mathrm{KL}(q_m \Vert p^s_m), \quad
        q_{mk} = \frac{(p^t_{mk})^\gamma}{\sum_j (p^t_{mj})^\gamma}

    Here p is the softmax at temperature 1. The power is the temperature
    :math:`1 / \gamma`, of the teacher alone, so KD's factor is missing. The mean is
    over M rows: images, regions, or pixels that are not ignored.

    For this reduction the authors tune gamma and weight for each pair on CIFAR-100:
    gamma 0.1 and weights from 33 to 101, or gamma 0.2 to 0.4 and weights from 7 to 40.

    Args:
        gamma: The power.
    """

    on_classes = True

    def __init__(self, gamma: Positive = 0.1) -> None:
        super().__init__()
        self.gamma = gamma
        self.softmax_at = 1 / gamma

    def weights(self, teacher: Tensor) -> Tensor | float:
        """The weight (N, ...) of each row of the teacher's logits (N, K, ...)."""
        return 1.0

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare logits (N, K) or (N, K, H, W)."""
        values = kl_divergence(student, self.gamma * teacher, 1.0, dim=1)
        return masked_mean(self.weights(teacher) * values, valid(student, targets))


@MODELS.register_module()
class WTTM(TTM):
    r"""TTM that counts more where the teacher's probabilities are smooth.

    .. math:: \frac{1}{M} \sum_m \sum_j (p^t_{mj})^\gamma\, \mathrm{KL}(q_m \Vert p^s_m)

    The weight of a row is 1 where the teacher is certain, and K to the power
    :math:`1 - \gamma` where all K classes are alike to it. So the term's weights that
    the authors tune are smaller than TTM's: from 1.4 to 16 on CIFAR-100; on ImageNet
    1.6 with gamma 0.8 for a ResNet-18, 3.5 with gamma 0.7 for a MobileNetV1.

    Args:
        gamma: The power.
    """

    def weights(self, teacher: Tensor) -> Tensor:
        """The sum of powers of the teacher's probabilities, for each row."""
        whole = self.gamma * teacher.logsumexp(1)
        return ((self.gamma * teacher).logsumexp(1) - whole).exp()
