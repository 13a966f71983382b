"""FRSKD's bidirectional feature pyramid (2103.08273, after BiFPN, 1911.09070), and the
heads that make logits of a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, ...]
Features = Sequence[Tensor]
NORMS: dict[str, Callable[[int], nn.Module]] = {
    'BN': nn.BatchNorm2d,
    'SyncBN': nn.SyncBatchNorm,
    'GN': lambda channels: nn.GroupNorm(math.gcd(32, channels), channels),
}


class BiFPN(nn.Module):
    """One pass from deep to shallow and, with ``back``, one from shallow to deep.

    Args:
        inside: Channels of the levels that come in, shallow to deep.
        outside: Channels of the refined levels.
        depth: Separable convolutions in a node.
        first: Have 1x1 convolutions for what goes in at the way down. Later pyramids
            take it as it is.
        project: Have a 1x1 convolution on the way from one level to the next.
        back: Have the way from shallow to deep.
        relu: Put a ReLU behind the refined features.
        norm: Key of ``NORMS``.
        eps: Of the fusion weights' sum.
    """

    def __init__(  # noqa: PLR0913
        self,
        inside: Sequence[int],
        outside: Sequence[int],
        depth: int,
        first: bool,
        project: bool,
        back: bool,
        relu: bool,
        norm: str,
        eps: float,
    ) -> None:
        super().__init__()

        def between(a: int, b: int) -> nn.Module:
            return _pointwise(a, b, norm) if project else nn.Identity()

        pairs = list(zip(inside, outside))
        steps = list(zip(outside, outside[1:]))
        self.relu = relu
        self.lateral = nn.ModuleList(
            _pointwise(*pair, norm) if first else nn.Identity() for pair in pairs
        )
        self.up = nn.ModuleList(between(deep, shallow) for shallow, deep in steps)
        self.top_down = nn.ModuleList(
            Node(shallow, 2, depth, norm, eps) for shallow, _ in steps
        )
        self.down = nn.ModuleList()
        self.lateral_back = nn.ModuleList()
        self.bottom_up = nn.ModuleList()
        if back:
            self.down.extend(between(shallow, deep) for shallow, deep in steps)
            self.lateral_back.extend(_pointwise(*pair, norm) for pair in pairs[1:])
            self.bottom_up.extend(  # the deepest has no node of its own on the way up
                Node(deep, 2 if i == len(steps) - 1 else 3, depth, norm, eps)
                for i, (_, deep) in enumerate(steps)
            )

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Refine features (N, C, H, W), shallow to deep."""
        lateral = [conv(x) for conv, x in zip(self.lateral, features)]
        middle = [lateral[-1]]
        for i in reversed(range(len(self.up))):
            deeper = resize_up(middle[0].relu(), lateral[i].shape[-2:])
            middle.insert(0, self.top_down[i](lateral[i], self.up[i](deeper)))
        refined = middle[:1] if self.bottom_up else middle
        for i, node in enumerate(self.bottom_up, start=1):
            own = [self.lateral_back[i - 1](features[i])]
            if i < len(self.bottom_up):
                own.append(middle[i].relu())
            shallower = resize_down(refined[-1].relu(), features[i].shape[-2:])
            refined.append(node(*own, self.down[i - 1](shallower)))
        return tuple(x.relu() if self.relu else x for x in refined)


class Node(nn.Module):
    """A sum with learned weights, non-negative and normalised; then convolutions.

    Args:
        channels: Of every input and of the output.
        inputs: How many are summed.
        depth: Separable convolutions.
        norm: Key of ``NORMS``.
        eps: Of the weights' sum.
    """

    def __init__(
        self, channels: int, inputs: int, depth: int, norm: str, eps: float
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))
        self.eps = eps
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                NORMS[norm](channels),
            ]
        self.conv = nn.Sequential(*layers[1:])

    def forward(self, *features: Tensor) -> Tensor:
        """Join features (N, C, H, W) of one size."""
        weight = self.weight.relu()
        weight = weight / (weight.sum() + self.eps)
        joined: Tensor = self.conv(sum(w * x for w, x in zip(weight, features)))
        return joined


def resize_up(x: Tensor, size: Shape) -> Tensor:
    """Nearest neighbour, where the size differs."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode='nearest')


def resize_down(x: Tensor, size: Shape) -> Tensor:
    """Max-pooling: 3x3 with stride 2 where that gives the size, else adaptive.

    As in TensorFlow's 'SAME' an odd size is padded on both sides and an even one at its
    end. The padding's zeros do not matter, since no feature is negative.
    """
    height, width = x.shape[-2:]
    if (height, width) == tuple(size):
        return x
    if (-(-height // 2), -(-width // 2)) != tuple(size):
        return F.adaptive_max_pool2d(x, size)  # type: ignore[arg-type]
    return F.max_pool2d(F.pad(x, (width % 2, 1, height % 2, 1)), 3, 2)


def _pointwise(inside: int, outside: int, norm: str) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 1, bias=False)
    return nn.Sequential(conv, NORMS[norm](outside), nn.ReLU())


def make_head(
    inside: int, target: Shape | None, norm: str = 'BN', hidden: int = 0
) -> nn.Sequential | None:
    """What makes logits of shape ``target``, without or with height and width."""
    if target is None:
        return None
    if len(target) == 1:
        linear = nn.Linear(inside, target[0])
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return nn.Sequential(
        nn.Conv2d(inside, hidden, 3, padding=1),
        NORMS[norm](hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, target[0], 3, padding=1),
    )
