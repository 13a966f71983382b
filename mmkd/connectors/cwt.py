"""CWT: A Simple and Generic Framework for Feature Distillation via Channel-wise
Transformation (Liu et al., ICCVW'23, 2303.13212).
"""

from __future__ import annotations

from torch import Tensor, nn

from mmkd.arguments import Natural, Positive, Shape
from mmkd.connectors.align import channels
from mmkd.registry import MODELS


@MODELS.register_module()
class CWT(nn.Module):
    """A learned nonlinear map along the channels: 1x1 conv, ReLU, 1x1 conv.

    It stands behind the student's feature; the loss is ``MSE(reduction='batch')``.

    RECONSTRUCTION: the paper's abstract and a summary give the form (one hidden layer,
    1x1 convolutions, ReLU, student side, squared error). The hidden width, biases,
    initialisation, the reduction and the weights are not known; they follow the
    code of MGD, whose protocol the paper's numbers line up with.

    Args:
        source: Shape of the student's feature, (C, H, W) or (L, C); given by the term.
        target: Shape of the teacher's.
        expand_ratio: Hidden width over the teacher's channels.
        depth: Hidden layers; 0 is one linear 1x1 convolution.
        nonlinear: False leaves the ReLUs out (for the ablation).
        bias: Whether the convolutions have biases.
    """

    def __init__(
        self,
        source: Shape,
        target: Shape,
        expand_ratio: Positive = 1.0,
        depth: Natural = 1,
        nonlinear: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        outside = channels(target)
        widths = [channels(source), *[max(1, round(outside * expand_ratio))] * depth]
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:]):
            layers.append(nn.Conv2d(before, after, 1, bias=bias))
            if nonlinear:
                layers.append(nn.ReLU(inplace=True))  # same[inplace, bool]: only memory
        self.mlp = nn.Sequential(*layers, nn.Conv2d(widths[-1], outside, 1, bias=bias))

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Transform a map (N, C, H, W) or tokens (N, L, C); the size stays."""
        if feature.ndim == 3:
            tokens: Tensor = self.mlp(feature.mT[..., None])
            return tokens.flatten(2).mT
        transformed: Tensor = self.mlp(feature)
        return transformed
