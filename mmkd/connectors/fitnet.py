"""FitNet: the regressor of FitNets: Hints for Thin Deep Nets (1412.6550)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmkd.arguments import Shape
from mmkd.registry import MODELS


@MODELS.register_module()
class FitNet(nn.Module):
    """Regress a teacher's map by a convolution that has its size, BatchNorm and ReLU.

    As in RepDistiller: of a map twice as large as the teacher's the convolution is 3x3
    with stride 2; of one half as large it is transposed, 4x4 with stride 2; of any
    other that is not smaller its kernel is just so large that what is left has the
    teacher's size, as in the paper. Such a kernel belongs to one size of images. For
    images of many sizes there is :class:`mmkd.connectors.Align`, a 1x1 convolution.

    Args:
        source: Shape of what comes in, (C, H, W); given by the term.
        target: Shape of what should come out.
        relu: Put a ReLU at the end. (A teacher's map before its ReLU wants none.)
        always: Have the convolution even where shapes agree.
    """

    def __init__(
        self, source: Shape, target: Shape, relu: bool = True, always: bool = True
    ) -> None:
        super().__init__()
        if len(source) != 3 or len(target) != 3:
            raise ValueError(
                f'FitNet regresses maps (C, H, W), not {target} from {source}. '
                "connector=dict(type='mmkd.Align') takes tokens and vectors too."
            )
        layers: list[nn.Module] = []
        if always or source != target:
            layers += [_convolution(source, target), nn.BatchNorm2d(target[0])]
            if relu:
                layers.append(nn.ReLU())
        self.regress = nn.Sequential(*layers)

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Map (N, C, H, W) to the width and size of ``like``."""
        result: Tensor = self.regress(feature)
        if result.shape[2:] != like.shape[2:]:
            raise ValueError(
                f'FitNet makes {tuple(result.shape[2:])} of a map of '
                f'{tuple(feature.shape[2:])} positions, and the teacher has '
                f'{tuple(like.shape[2:])}: it was built for other images. '
                "connector=dict(type='mmkd.Align') takes all sizes."
            )
        return result


def _convolution(source: Shape, target: Shape) -> nn.Module:
    """From one shape (C, H, W) to another."""
    (inside, *size), (outside, *wanted) = source, target
    if size == _doubled(wanted):
        return nn.Conv2d(inside, outside, 3, stride=2, padding=1)
    if _doubled(size) == wanted:
        return nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1)
    kernel = [1 + a - b for a, b in zip(size, wanted)]
    if min(kernel) < 1:
        raise ValueError(
            f"FitNet cannot make {wanted} positions of {size}: the student's map must "
            "be half as large as the teacher's, or not smaller. "
            "connector=dict(type='mmkd.Align') takes all sizes."
        )
    return nn.Conv2d(inside, outside, (kernel[0], kernel[1]))


def _doubled(size: Sequence[int]) -> list[int]:
    return [2 * n for n in size]
