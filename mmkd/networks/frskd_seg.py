"""FRSKD's segmentation networks (2103.08273), as in the authors' code: a pyramid of
BiFPNs behind an EfficientNet, and the self-teacher, which is more of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.networks.bifpn import NORMS, Features, Shape, make_head
from mmkd.registry import MODELS


@MODELS.register_module()
class FRSKDNeck(nn.Module):
    """A feature pyramid with two levels more than it reads, refined by BiFPNs.

    The levels P2 to P5 are joined from deep to shallow; P6 and P7 are made of P5 by
    convolutions with stride 2. The authors have 64 channels behind an EfficientNet-B0,
    88 behind a B1 and 112 behind a B2.

    Their norms outside the BiFPNs have eps 1e-4 and momentum 0.997, which in PyTorch
    means that the last batch alone counts. Here it is 0.003, as TensorFlow means it.

    Args:
        in_channels: Of the features that come in, shallow to deep.
        out_channels: Of all levels that go out.
        layers: BiFPNs one after another.
        norm: 'BN', 'SyncBN' or 'GN'.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 64,
        layers: int = 3,
        norm: str = 'BN',
    ) -> None:
        super().__init__()
        deepest, width = in_channels[-1], out_channels
        self.lateral = nn.ModuleList(_conv(c, width, 1, norm) for c in in_channels)
        self.extra = nn.ModuleList(_conv(c, width, 3, norm) for c in (deepest, width))
        levels = len(in_channels) + len(self.extra)
        self.pyramid = nn.Sequential(
            *(PlainBiFPN(width, levels, norm) for _ in range(layers))
        )

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Refine features (N, C, H, W), shallow to deep."""
        levels = [conv(x) for conv, x in zip(self.lateral, features)]
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + _bilinear(levels[i + 1], levels[i])
        last = features[-1]
        for conv in self.extra:
            last = conv(last)
            levels.append(last)
        refined: tuple[Tensor, ...] = self.pyramid(levels)
        return refined


@MODELS.register_module()
class FRSKDNeckTeacher(nn.Module):
    """More BiFPNs on top of :class:`FRSKDNeck`, in ``pyramid``, and a ``head``.

    The logits come from the largest level, so the last BiFPN has no way back.

    Args:
        sources: Shapes (C, H, W) of the student's levels, shallow to deep.
        target: Shape (K, H, W) of the student's logits.
        layers: BiFPNs one after another.
        hidden: Channels between the convolutions of the head.
        norm: 'BN', 'SyncBN' or 'GN'.
    """

    def __init__(
        self,
        sources: Sequence[Shape],
        target: Shape,
        layers: int = 2,
        hidden: int = 256,
        norm: str = 'BN',
    ) -> None:
        super().__init__()
        widths = {shape[0] for shape in sources}
        if len(sources) < 2 or len(widths) != 1 or len(target) != 3:
            raise ValueError(
                'FRSKDNeckTeacher goes on where FRSKDNeck ends: with levels of equally '
                f'many channels, and logits (K, H, W). It was given {list(sources)} '
                f'and {tuple(target)}.'
            )
        (width,) = widths
        self.pyramid = nn.Sequential(
            *(
                PlainBiFPN(width, len(sources), norm, back=i < layers - 1)
                for i in range(layers)
            )
        )
        head = make_head(width, target, norm, hidden)
        assert head is not None
        _set_norm(head[1])
        self.head = head

    def forward(self, features: Features) -> Tensor:
        """Logits of levels (N, C, H, W), shallow to deep."""
        logits: Tensor = self.head(self.pyramid(features)[0])
        return logits


class PlainBiFPN(nn.Module):
    """One pass from deep to shallow and, with ``back``, one from shallow to deep.

    What is joined is added up as it is, and passed through one factor and one bias for
    each channel, a norm and a ReLU: channels and positions do not mix.

    Args:
        channels: Of every level.
        levels: How many.
        norm: Key of ``NORMS``.
        back: Have the way from shallow to deep.
    """

    def __init__(
        self, channels: int, levels: int, norm: str, back: bool = True
    ) -> None:
        super().__init__()

        def nodes(count: int) -> nn.ModuleList:
            return nn.ModuleList(_scale(channels, norm) for _ in range(count))

        self.top_down = nodes(levels)
        self.bottom_up = nodes(levels - 1 if back else 0)

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Refine levels (N, C, H, W), shallow to deep."""
        middle = [self.top_down[-1](features[-1])]
        for i in reversed(range(len(features) - 1)):
            joined = features[i] + _bilinear(middle[0], features[i])
            middle.insert(0, self.top_down[i](joined))
        if not len(self.bottom_up):
            return tuple(middle)
        refined = middle[:1]
        for x, y, node in zip(features[1:], middle[1:], self.bottom_up):
            refined.append(node(x + y + F.interpolate(refined[-1], y.shape[2:])))
        return tuple(refined)


def _scale(channels: int, norm: str) -> nn.Sequential:
    factors = nn.Conv2d(channels, channels, 1, groups=channels)
    return nn.Sequential(factors, NORMS[norm](channels), nn.ReLU())


def _conv(inside: int, outside: int, size: int, norm: str) -> nn.Sequential:
    """A convolution, with stride 2 if it is larger than 1x1; norm and ReLU."""
    conv = nn.Conv2d(inside, outside, size, 1 if size == 1 else 2, size // 2)
    return nn.Sequential(conv, _set_norm(NORMS[norm](outside)), nn.ReLU())


def _set_norm(norm: nn.Module) -> nn.Module:
    """See :class:`FRSKDNeck`."""
    if isinstance(norm, (nn.BatchNorm2d, nn.SyncBatchNorm)):
        norm.eps, norm.momentum = 1e-4, 0.003
    return norm


def _bilinear(x: Tensor, like: Tensor) -> Tensor:
    size = like.shape[2:]
    up: Tensor = F.interpolate(x, size, mode='bilinear', align_corners=False)
    return up
