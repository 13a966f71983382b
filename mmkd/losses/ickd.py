"""ICKD: Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge
Distillation (Liu et al., ICCV 2021, 2202.03680).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class ICKD(Loss):
    r"""Match which channels of an image's map are alike.

    .. math:: \frac{1}{N C} \sum_n \| G^s_n - G^t_n \|_F^2, \quad
        G_n = \mathrm{normalise\ rows}(F_n F_n^T)

    F_n is the map of an image, a row of HW numbers for each of C channels. The maps may
    differ in size. The student's passes through a 1x1 convolution without bias and a
    BatchNorm first, even where it has the teacher's channels already. The authors'
    weight with this reduction is 2.5 on CIFAR-100, for the last map alone. (Their code
    for ImageNet divides by N once more.) The grid of the paper's segmentation, a G for
    each part of a map, is not in what they released, and not here.
    """

    same_shape = False  # the channels must agree, the sizes need not

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare maps (N, C, H, W)."""
        channels = student.shape[1], teacher.shape[1]
        if channels[0] != channels[1]:
            raise ValueError(
                f'ICKD compares channel by channel: the student has {channels[0]} and '
                f"the teacher {channels[1]}. connector=dict(type='mmkd.Align', "
                "space='keep', always=True, bias=False, norm=True) is the authors'."
            )
        apart = _channels(student) - _channels(teacher)
        return apart.square().sum((1, 2)).mean() / channels[0]


def _channels(x: Tensor) -> Tensor:
    """How alike the channels of each image are (N, C, C)."""
    x = x.flatten(2)
    return F.normalize(x @ x.mT, dim=2)
