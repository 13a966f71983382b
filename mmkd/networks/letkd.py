"""letKD: Knowledge Distillation Layer that Lets the Student Decide (BMVC 2023,
2309.02843): the layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Count
from mmkd.loss import in_fp32


class CosineConv(nn.Module):
    """A 1x1 convolution of cosines: input and kernels have length 1, times a gain.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        gain: Where the gain starts. It is one number, learned.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        std = (2 / inputs) ** 0.5
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1) * std)
        self.gain = nn.Parameter(torch.tensor([gain]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W)."""
        kernels = F.normalize(in_fp32(self.weight), dim=1) * self.gain
        return F.conv2d(_unit(x), kernels.to(x.dtype))


def _unit(x: Tensor) -> Tensor:
    """Length 1 over channels, computed in fp32: zeros stay zeros."""
    return F.normalize(in_fp32(x), dim=1).to(x.dtype)


class KDLayer(nn.Module):
    r"""Match each position with templates, and add what the matches mean.

    .. math:: s = g_1 \langle \hat x, \hat w_k \rangle, \quad
        r = \mathrm{relu}(\mathrm{BN}(s)), \quad
        y = x + \alpha\, g_2 \langle \hat r, \hat u_c \rangle

    A term reads the scores s, that is what ``match`` returns. y goes on through the
    student, in training and at inference.

    Args:
        channels: C of the map.
        templates: How many; K.
        alpha: Factor of what is added.
        gains: Where g_1 and g_2 start.
    """

    def __init__(
        self,
        channels: int,
        templates: Count,
        alpha: float = 1.0,
        gains: Sequence[float] = (3.0, 1.0),
    ) -> None:
        super().__init__()
        self.match = CosineConv(channels, templates, gains[0])
        self.norm = nn.BatchNorm2d(templates)
        self.value = CosineConv(templates, channels, gains[1])
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        # Detectors freeze the statistics of every norm in a pretrained backbone. This
        # one is new.
        self.norm.train(self.training)
        active = F.relu(self.norm(self.match(x)))
        values: Tensor = self.value(active)
        return x + self.alpha * values

    def macs(self, positions: int) -> int:
        """Multiplications of the two convolutions on so many positions."""
        return 2 * self.match.weight.numel() * positions
