"""MobileNetV1 for ImageNet, and MobileNetV2 as distillation on CIFAR uses it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from mmkd.backbones.stages import (
    KAIMING,
    Init,
    Residual,
    Stages,
    conv_bn,
    conv_bn_relu,
    row,
)
from mmkd.registry import MODELS


@MODELS.register_module()
class MobileNetV1(Stages):
    """MobileNetV1 (1704.04861) of full width.

    Args:
        out_indices: Stages whose maps to return. Of 224x224 images they are 64x112x112,
            128x56x56, 256x28x28, 512x14x14 and 1024x7x7.
        init_cfg: As everywhere in mmengine. None: torch's own, as in the distillation
            literature.
    """

    ends = (0, 1, 2, 3, 4)

    def __init__(
        self, out_indices: Sequence[int] = (-1,), init_cfg: Init = None
    ) -> None:
        stages = [
            row(separable, 32, 64, 1, 1),
            row(separable, 64, 128, 2, 2),
            row(separable, 128, 256, 2, 2),
            row(separable, 256, 512, 2, 6),
            row(separable, 512, 1024, 2, 2),
        ]
        stem = nn.Sequential(*conv_bn_relu(3, 32, stride=2))
        super().__init__(stem, stages, out_indices, init_cfg)


@MODELS.register_module()
class CifarMobileNetV2(Stages):
    """MobileNetV2 (1801.04381) with ReLU instead of ReLU6, and less striding.

    Args:
        widen_factor: Of all layers but, below 1, the last. The literature has 0.5.
        out_indices: 0 to 3 are the stages, of 32x32 images 16x16, 8x8, 4x4 and 2x2
            positions, with values of both signs; 4 is the last, 1x1 convolution, with
            1280 channels.
        init_cfg: As everywhere in mmengine.
    """

    ends = (0, 1, 2, 3)

    def __init__(
        self,
        widen_factor: float = 0.5,
        out_indices: Sequence[int] = (-1,),
        init_cfg: Init = KAIMING,
    ) -> None:
        def stage(inputs: int, *rows: tuple[int, int, int, int]) -> nn.Module:
            """Rows of (expansion, channels, stride, count)."""
            parts = []
            for expansion, outputs, stride, count in rows:
                unit = partial(inverted, expansion=expansion)
                parts.append(row(unit, width(inputs), width(outputs), stride, count))
                inputs = outputs
            return nn.Sequential(*parts)

        def width(channels: int) -> int:
            return int(channels * widen_factor)

        stages = [
            stage(32, (1, 16, 1, 1), (6, 24, 1, 2)),
            stage(24, (6, 32, 2, 3)),
            stage(32, (6, 64, 2, 4), (6, 96, 1, 3)),
            stage(96, (6, 160, 2, 3), (6, 320, 1, 1)),
            nn.Sequential(*conv_bn_relu(width(320), max(1280, width(1280)), 1)),
        ]
        stem = nn.Sequential(*conv_bn_relu(3, width(32), stride=2))
        super().__init__(stem, stages, out_indices, init_cfg)


def separable(inputs: int, outputs: int, stride: int) -> nn.Module:
    """A 3x3 convolution in each channel, then a 1x1 convolution."""
    return nn.Sequential(
        *conv_bn_relu(inputs, inputs, 3, stride, groups=inputs),
        *conv_bn_relu(inputs, outputs, 1),
    )


def inverted(inputs: int, outputs: int, stride: int, expansion: int) -> Residual:
    """Widen, convolve in each channel, narrow; a shortcut where shapes allow it."""
    wide = inputs * expansion
    body = nn.Sequential(
        *conv_bn_relu(inputs, wide, 1),
        *conv_bn_relu(wide, wide, 3, stride, groups=wide),
        *conv_bn(wide, outputs, 1),
    )
    same = stride == 1 and inputs == outputs
    return Residual(body, nn.Identity() if same else None, relu=False)
