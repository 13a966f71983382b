"""Align: bring a feature into the shape of another."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Shape
from mmkd.registry import MODELS


@MODELS.register_module()
class Align(nn.Module):
    """Match channels, space, and token or map form.

    Channels by a learned 1x1 convolution (none if they agree), space by bilinear
    interpolation upwards and average pooling downwards, tokens (N, L, C) to a map
    (N, C, H, W) with H*W = L and back. One class token in front (L = H*W + 1) is left
    out.

    Args:
        source: Shape of what comes in, without the batch; given by the term.
        target: Shape of what should come out.
        bias: Whether the convolution has a bias.
        norm: Put a BatchNorm behind the convolution.
        relu: Put a ReLU behind that.
        always: Have the convolution even where channels agree.
        space: 'auto' matches height and width; 'keep' leaves them.
    """

    def __init__(
        self,
        source: Shape,
        target: Shape,
        bias: bool = True,
        norm: bool = False,
        relu: bool = False,
        always: bool = False,
        space: Literal['auto', 'keep'] = 'auto',
    ) -> None:
        super().__init__()
        self.space = space
        inside, outside = channels(source), channels(target)
        layers: list[nn.Module] = []
        if always or inside != outside:
            layers.append(nn.Conv2d(inside, outside, 1, bias=bias))
            if norm:
                layers.append(nn.BatchNorm2d(outside))
            if relu:
                layers.append(nn.ReLU())
        self.project = nn.Sequential(*layers)

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Bring ``feature`` into the form, the width and the size of ``like``."""
        x = as_map(feature, like)
        size = x.shape[-2:] if self.space == 'keep' else _size(like)
        # same[Lt -> LtE]: sizes agree, and both ways are one
        if size[0] * size[1] < x.shape[-2] * x.shape[-1]:
            x = self.project(resize(x, size))  # fewer positions to project
        else:
            x = resize(self.project(x), size)
        if like.ndim == 3:
            return as_tokens(x, like.shape[1])
        return x.flatten(1) if like.ndim == 2 else x


def channels(shape: Shape) -> int:
    """Channels of a map (C, H, W), tokens (L, C) or a vector (C,)."""
    return shape[-1] if len(shape) == 2 else shape[0]


def as_map(feature: Tensor, like: Tensor) -> Tensor:
    """A map, whatever comes in; tokens are laid out in the proportions of ``like``."""
    if feature.ndim == 4:
        return feature
    if feature.ndim == 2:
        return feature[:, :, None, None]
    height, width = _grid(feature.shape[1], like)
    tokens = feature[:, -height * width :]
    return tokens.mT.reshape(*feature.shape[::2], height, width)


def as_tokens(x: Tensor, length: int) -> Tensor:
    """A map as tokens (N, L, C); a class token, if one is wanted, gets their mean."""
    tokens = x.flatten(2).mT
    if length == tokens.shape[1] + 1:
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
    return tokens


def _size(like: Tensor) -> tuple[int, int]:
    """Height and width of a map, of a grid of tokens, or of a vector: 1, 1."""
    if like.ndim == 3:
        return _grid(like.shape[1], like)
    return (like.shape[2], like.shape[3]) if like.ndim == 4 else (1, 1)


def _grid(length: int, like: Tensor) -> tuple[int, int]:
    """Height and width of ``length`` tokens, with or without one class token."""
    ratio = like.shape[-2] / like.shape[-1] if like.ndim == 4 else 1.0
    for count in (length, length - 1):
        height = round((count * ratio) ** 0.5)
        if height and count % height == 0 and abs(height * height - count * ratio) < 1:
            return height, count // height
    raise ValueError(
        f'{length} tokens do not form a grid of the proportions of {tuple(like.shape)}'
    )


def resize(x: Tensor, size: Shape) -> Tensor:
    """Average pooling down, bilinear interpolation up."""
    height, width = size
    if x.shape[-2:] == (height, width):  # same[2 -> 3, 2 -> 1]: only speed
        return x
    if x.shape[-2] >= height and x.shape[-1] >= width:
        return F.adaptive_avg_pool2d(x, (height, width))
    # same[align_corners]: the default
    up: Tensor = F.interpolate(x, (height, width), mode='bilinear', align_corners=False)
    return up
