"""MGD: Masked Generative Distillation (Yang et al., ECCV 2022, 2205.01529)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mmkd.arguments import Shape, Share
from mmkd.connectors.align import Align
from mmkd.registry import MODELS


@MODELS.register_module()
class MGD(nn.Module):
    """Hide parts of the student's map and generate the teacher's from the rest.

    In front a 1x1 convolution if channels differ, and resizing if sizes do; behind the
    mask a 3x3 convolution, ReLU and a 3x3 convolution of the teacher's width. The loss
    is ``MSE(reduction='batch')``. A new mask is drawn for every image in every
    iteration, from torch's generator, also where the student is only evaluated.

    Args:
        source: Shape of what comes in, (C, H, W); given by the term.
        target: Shape of the teacher's.
        ratio: How likely a part is hidden: the authors' lambda.
        hides: 'positions' hides all channels of a position (detection, segmentation),
            'channels' all positions of a channel (classification).
    """

    def __init__(
        self,
        source: Shape,
        target: Shape,
        ratio: Share,
        hides: Literal['positions', 'channels'] = 'positions',
    ) -> None:
        super().__init__()
        if len(source) != 3 or len(target) != 3:
            raise ValueError(
                f'MGD generates maps (C, H, W), not {target} from {source}. '
                "connector=dict(type='mmkd.Align') takes tokens and vectors too."
            )
        self.ratio = ratio
        self.hides = hides
        self.align = Align(source, target)
        self.generate = nn.Sequential(
            nn.Conv2d(target[0], target[0], 3, padding=1),
            nn.ReLU(inplace=True),  # same[inplace, bool]: only memory
            nn.Conv2d(target[0], target[0], 3, padding=1),
        )

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Map (N, C, H, W) to the width and size of ``like``."""
        x = self.align(feature, like)
        generated: Tensor = self.generate(x * self.shown(x))
        return generated

    def shown(self, x: Tensor) -> Tensor:
        """What of a map (N, C, H, W) is not hidden: (N, 1, H, W) or (N, C, 1, 1)."""
        count, channels, height, width = x.shape
        shape = (count, 1, height, width)
        if self.hides == 'channels':
            shape = (count, channels, 1, 1)
        return torch.rand(shape, device=x.device) >= self.ratio
