"""CWD: Channel-wise Knowledge Distillation for Dense Prediction (2011.13256)."""

from __future__ import annotations

from torch import Tensor

from mmkd.arguments import Positive
from mmkd.loss import Loss, exact
from mmkd.losses.functional import kl_divergence
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class CWD(Loss):
    r"""Match, channel by channel, where in the map the activation is.

    .. math:: \frac{\tau^2}{N C} \sum_{n,c} \sum_i \phi(t)_{nci}
        \log \frac{\phi(t)_{nci}}{\phi(s)_{nci}}, \quad
        \phi(x)_i = \mathrm{softmax}_{i \in HW}(x_i / \tau)

    Averaged over images and channels. Weights for this reduction, from the authors' and
    mmrazor's code: Cityscapes logits 3 at tau 4 (authors) or 5 at tau 1; FPN levels 10
    at tau 1 (mmrazor).

    Args:
        tau: Temperature.
    """

    def __init__(self, tau: Positive = 4.0) -> None:
        super().__init__()
        self.tau = tau

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W)."""
        return kl_divergence(student.flatten(2), teacher.flatten(2), self.tau, 2).mean()
