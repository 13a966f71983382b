"""CifarResNet and WideResNet: residual networks for images of 32x32."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from mmkd.backbones.stages import (
    KAIMING,
    Init,
    Residual,
    Stages,
    conv,
    conv_bn,
    conv_bn_relu,
    row,
)
from mmkd.registry import MODELS


@MODELS.register_module()
class CifarResNet(Stages):
    """The ResNet of 6n + 2 layers (1512.03385, section 4.2).

    As the distillation literature has it: where width or size changes, the shortcut is
    a 1x1 convolution. (The paper pads with zeros.)

    Args:
        depth: 8, 14, 20, 32, 44, 56, 110, …
        widths: Channels of the stem and of the three stages. ResNet-8x4 and -32x4 have
            (32, 64, 128, 256).
        out_indices: Stages whose maps to return. Of 32x32 images they have 32x32, 16x16
            and 8x8 positions.
        init_cfg: As everywhere in mmengine.
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        out_indices: Sequence[int] = (-1,),
        init_cfg: Init = KAIMING,
    ) -> None:
        count = _units(depth, 2)
        stages = [
            row(basic, inputs, outputs, stride, count)
            for inputs, outputs, stride in zip(widths, widths[1:], (1, 2, 2))
        ]
        stem = nn.Sequential(*conv_bn_relu(3, widths[0]))
        super().__init__(stem, stages, out_indices, init_cfg)


@MODELS.register_module()
class WideResNet(Stages):
    """WRN-d-k (1605.07146): 6n + 4 layers, BatchNorm and ReLU before convolutions.

    Args:
        depth: The d: 16, 28, 40, …
        widen_factor: The k.
        drop_rate: Of the dropout between the two convolutions of a unit.
        out_indices: 0 to 2 are the stages, with 32x32, 16x16 and 8x8 positions of a
            32x32 image and values of both signs; 3 is stage 2 after the last BatchNorm
            and ReLU.
        init_cfg: As everywhere in mmengine.
    """

    def __init__(
        self,
        depth: int,
        widen_factor: int = 1,
        drop_rate: float = 0.0,
        out_indices: Sequence[int] = (-1,),
        init_cfg: Init = KAIMING,
    ) -> None:
        count = _units(depth, 4)
        unit = partial(PreActivation, drop_rate=drop_rate)
        widths = [16, *(16 * widen_factor * 2**i for i in range(3))]
        stages = [
            row(unit, inputs, outputs, stride, count)
            for inputs, outputs, stride in zip(widths, widths[1:], (1, 2, 2))
        ]
        tail = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        super().__init__(conv(3, widths[0]), [*stages, tail], out_indices, init_cfg)


class PreActivation(nn.Module):
    """``x + body(relu(bn(x)))``; a projecting shortcut starts after the ReLU.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution.
        drop_rate: Of the dropout before the second.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            *conv_bn_relu(inputs, outputs, 3, stride),
            nn.Dropout(drop_rate),
            conv(outputs, outputs),
        )
        same = inputs == outputs and stride == 1
        self.project = None if same else conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        active = self.activate(x)
        result: Tensor = self.body(active)
        return result + (x if self.project is None else self.project(active))


def basic(inputs: int, outputs: int, stride: int) -> Residual:
    """Two 3x3 convolutions and a shortcut."""
    shortcut: nn.Module = nn.Identity()
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(*conv_bn(inputs, outputs, 1, stride))
    body = [*conv_bn_relu(inputs, outputs, 3, stride), *conv_bn(outputs, outputs)]
    return Residual(nn.Sequential(*body), shortcut)


def _units(depth: int, rest: int) -> int:
    """Units in each of three stages; ``rest`` layers are outside."""
    if depth <= rest or (depth - rest) % 6:
        first = [6 * n + rest for n in range(1, 4)]
        raise ValueError(f'depth={depth}: must be 6n + {rest}, as {first}')
    return (depth - rest) // 6
