"""SRRL: Knowledge Distillation via Softmax Regression Representation Learning (Yang et
al., ICLR 2021, openreview.net/forum?id=ZzwDy_wiWv).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, Site, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class SRRL(Loss):
    r"""Match pooled features, and what the teacher's classifier makes of them.

    .. math:: \frac{1}{N C} \sum \| \bar s - \bar t \|^2
        + \frac{w}{N K} \sum \| W \bar s - W \bar t \|^2

    for C channels, K classes and the teacher's last layer W, z = Wx + b. The student's
    map passes through a 1x1 convolution without bias, a BatchNorm and a ReLU first,
    and both are averaged over their positions; a feature (N, C) is taken as it is. The
    authors' w and weight are 1.

    Args:
        head: The teacher's last layer; a copy of it judges both sides.
        logits: Weight of what it says, w.
    """

    same_shape = False  # the channels must agree, the sizes need not

    def __init__(self, head: str = 'head.fc', logits: float = 1.0) -> None:
        super().__init__()
        self.path, self.logits = head, logits

    def build(self, site: Site) -> None:
        """Copy the teacher's last layer."""
        channels = site.students[0].shape[1], site.teachers[0].shape[1]
        if channels[0] != channels[1]:
            raise ValueError(
                f"SRRL: the teacher's '{self.path}' reads {channels[1]} channels, and "
                f"the student gives {channels[0]}. connector=dict(type='mmkd.Align', "
                "space='keep', always=True, bias=False, norm=True, relu=True) is the "
                "authors'."
            )
        self.head = site.borrow(self.path)

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W), or pooled features (N, C)."""
        s, t = _pooled(student), _pooled(teacher)
        said = F.mse_loss(self.head(s), self.head(t))
        return F.mse_loss(s, t) + self.logits * said


def _pooled(x: Tensor) -> Tensor:
    """The mean over all positions (N, C)."""
    return x.flatten(2).mean(2) if x.ndim > 2 else x
