"""CifarVGG: VGG with BatchNorm and without hidden linear layers, for small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mmkd.backbones.stages import KAIMING, Init, Stages
from mmkd.registry import MODELS

WIDTHS = (64, 128, 256, 512, 512)
# Depth -> convolutions of each stage. A linear layer counts for the rest of the paper's
# depth: VGG-8 has five convolutions.
COUNTS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


@MODELS.register_module()
class CifarVGG(Stages):
    """VGG (1409.1556) as the distillation literature uses it on CIFAR.

    Args:
        depth: 8, 11, 13, 16 or 19.
        strides: A stage with stride 2 begins with max pooling. The default is for
            images of 32x32; those of 64x64 have (1, 2, 2, 2, 2) there.
        out_indices: Stages whose maps, after the ReLU, to return. Of 32x32 images they
            have 32x32, 16x16, 8x8, 4x4 and 4x4 positions.
        init_cfg: As everywhere in mmengine.
    """

    ends = (1, 2, 3, 4)

    def __init__(
        self,
        depth: int,
        strides: Sequence[int] = (1, 2, 2, 2, 1),
        out_indices: Sequence[int] = (-1,),
        init_cfg: Init = KAIMING,
    ) -> None:
        if depth not in COUNTS:
            raise ValueError(f'depth={depth}: must be one of {list(COUNTS)}')
        stages = [
            _stage(*setting)
            for setting in zip((3, *WIDTHS), WIDTHS, strides, COUNTS[depth])
        ]
        super().__init__(nn.Identity(), stages, out_indices, init_cfg)


def _stage(inputs: int, outputs: int, stride: int, count: int) -> nn.Module:
    layers: list[nn.Module] = [nn.MaxPool2d(2) if stride == 2 else nn.Identity()]
    for channels in (inputs, *[outputs] * (count - 1)):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
