"""Stages, and the layers that the networks here share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

# What BaseModule takes as init_cfg.
Init = Any
# Channels in, channels out, stride -> a unit.
Unit = Callable[[int, int, int], nn.Module]

KAIMING = dict(type='Kaiming', layer='Conv2d')


class Stages(BaseModule):  # type: ignore[misc]
    """A backbone: a stem, then stages in a row. It gives the maps of some of them.

    Args:
        stem: Sees the image (N, 3, H, W).
        stages: What follows. A last layer that belongs to no stage counts as one.
        out_indices: Whose maps to return, in this order; -1 is the last.
        init_cfg: As everywhere in mmengine. None leaves torch's initialisation.

    Attributes:
        ends: Which of them the distillation literature taps as the stages.
    """

    ends: Sequence[int] = (0, 1, 2)

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        out_indices: Sequence[int],
        init_cfg: Init,
    ) -> None:
        super().__init__(init_cfg)
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.out_indices = tuple(out_indices)
        count = len(stages)
        odd = [index for index in out_indices if not -count <= index < count]
        if odd:
            raise ValueError(
                f'out_indices {odd}: {type(self).__name__} has {count} stages, '
                f'0 to {count - 1}'
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps (N, C, H, W) of the chosen stages, of images (N, 3, H, W)."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[index] for index in self.out_indices)


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))``, of maps (N, C, H, W).

    Args:
        body: The layers.
        shortcut: What leads around them; None: nothing does.
        relu: Whether a ReLU follows.
    """

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None = None, relu: bool = True
    ) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Run ``body``, add the shortcut."""
        y = self.body(x)
        result: Tensor = self.relu(y if self.shortcut is None else y + self.shortcut(x))
        return result


def row(unit: Unit, inputs: int, outputs: int, stride: int, count: int) -> nn.Module:
    """``count`` units in a row, of which the first changes width and size."""
    more = (unit(outputs, outputs, 1) for _ in range(count - 1))
    return nn.Sequential(unit(inputs, outputs, stride), *more)


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias; at stride 1 the map keeps its size."""
    return nn.Conv2d(
        inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
    )


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution and a BatchNorm."""
    return [conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs)]


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution, a BatchNorm and a ReLU."""
    layers = conv_bn(inputs, outputs, kernel, stride, groups)
    return [*layers, nn.ReLU(inplace=True)]
