"""ShuffleNetV1 and V2 as distillation on CIFAR uses them, with a stem of 1x1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.backbones.stages import Init, Stages, conv_bn, conv_bn_relu, row
from mmkd.registry import MODELS

STEM = 24
COUNTS = (4, 8, 4)
# Channels of the stages and of the last convolution. (The paper has 244 at width 2.)
V2_WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (224, 488, 976, 2048),
}


@MODELS.register_module()
class CifarShuffleNetV1(Stages):
    """ShuffleNetV1 (1707.01083) with three groups.

    Args:
        out_indices: Stages whose maps to return. Of 32x32 images they are 240x16x16,
            480x8x8 and 960x4x4.
        init_cfg: As everywhere in mmengine. None: torch's own, as in the literature.
    """

    def __init__(
        self, out_indices: Sequence[int] = (-1,), init_cfg: Init = None
    ) -> None:
        widths = (STEM, 240, 480, 960)
        stages = [
            row(GroupedUnit, inputs, outputs, 2, count)
            for inputs, outputs, count in zip(widths, widths[1:], COUNTS)
        ]
        stem = nn.Sequential(*conv_bn_relu(3, STEM, 1))
        super().__init__(stem, stages, out_indices, init_cfg)


@MODELS.register_module()
class CifarShuffleNetV2(Stages):
    """ShuffleNetV2 (1807.11164).

    Args:
        widen_factor: 0.5, 1.0, 1.5 or 2.0.
        out_indices: 0 to 2 are the stages, of 32x32 images 16x16, 8x8 and 4x4
            positions; 3 is the last, 1x1 convolution.
        init_cfg: As everywhere in mmengine. None: torch's own, as in the literature.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (-1,),
        init_cfg: Init = None,
    ) -> None:
        if widen_factor not in V2_WIDTHS:
            raise ValueError(
                f'widen_factor={widen_factor}: must be one of {list(V2_WIDTHS)}'
            )
        *widths, last = V2_WIDTHS[widen_factor]
        stages = [
            row(SplitUnit, inputs, outputs, 2, count)
            for inputs, outputs, count in zip((STEM, *widths), widths, COUNTS)
        ]
        stages.append(nn.Sequential(*conv_bn_relu(widths[-1], last, 1)))
        stem = nn.Sequential(*conv_bn_relu(3, STEM, 1))
        super().__init__(stem, stages, out_indices, init_cfg)


class Shuffle(nn.Module):
    """Interleave groups of channels. (torch's own has no gradient in torch 2.1.)

    Args:
        groups: How many.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to as much."""
        n, _, height, width = x.shape
        groups = x.reshape(n, self.groups, -1, height, width)
        return groups.transpose(1, 2).flatten(1, 2)


class GroupedUnit(nn.Module):
    """The unit of V1: added to its input, or with stride 2 joined to its pooled input.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: 1 or 2.
        groups: Of the 1x1 convolutions, but not of the first behind the stem.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 3) -> None:
        super().__init__()
        own = outputs - inputs if stride == 2 else outputs
        middle = own // 4
        first = 1 if inputs == STEM else groups
        self.body = nn.Sequential(
            *conv_bn_relu(inputs, middle, 1, groups=first),
            Shuffle(first),
            *conv_bn_relu(middle, middle, 3, stride, groups=middle),
            *conv_bn(middle, own, 1, groups=groups),
        )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        y = self.body(x)
        if self.stride == 1:
            return F.relu(x + y)
        return F.relu(torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1))


class SplitUnit(nn.Module):
    """The unit of V2: one half of the channels is left as it is, or with stride 2 none.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.body = nn.Sequential(
            *conv_bn_relu(inputs if stride == 2 else half, half, 1),
            *conv_bn(half, half, 3, stride, groups=half),
            *conv_bn_relu(half, half, 1),
        )
        self.shortcut: nn.Module | None = None
        if stride == 2:
            self.shortcut = nn.Sequential(
                *conv_bn(inputs, inputs, 3, 2, groups=inputs),
                *conv_bn_relu(inputs, half, 1),
            )
        self.shuffle = Shuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        if self.shortcut is None:
            left, right = x.chunk(2, 1)
        else:
            left, right = self.shortcut(x), x
        result: Tensor = self.shuffle(torch.cat([left, self.body(right)], 1))
        return result
