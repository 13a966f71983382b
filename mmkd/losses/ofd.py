"""OFD: A Comprehensive Overhaul of Feature Distillation (Heo et al., ICCV 2019,
1904.01866).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmkd.arguments import naming
from mmkd.loss import Levels, Loss, Site, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class OFD(Loss):
    r"""Match what is behind the teacher's ReLU, and be below zero where it is.

    .. math:: \sum_{i=1}^n \frac{1}{2^{n-i} N} \sum (s_i - \hat t_i)^2
        [s_i > \hat t_i \lor \hat t_i > 0], \quad \hat t = \max(t, m)

    Summed over channels and positions; t are features *before* a ReLU, shallow to deep,
    s the student's behind a 1x1 convolution and a BatchNorm. The margin m is what a
    negative value is on average. Of a channel behind a BatchNorm with weight
    :math:`\gamma` and bias :math:`\beta`, of either sign,

    .. math:: m = \beta - |\gamma| \frac{\varphi(\beta / |\gamma|)}
        {\Phi(-\beta / |\gamma|)},

    with the normal distribution's density and its integral; -3 :math:`|\gamma|` where
    that is less than 0.001. Of weight 1 and bias 0 it is :math:`-\sqrt{2 / \pi}`, which
    FRSKD has everywhere: its self-teacher knows nothing when it is looked up. The
    authors' weights are 1e-3 on CIFAR-100, 1e-4 on ImageNet and 1e-5 in segmentation.

    Args:
        margin: The m of all channels, without ``norms``.
        norms: Of each level the teacher's BatchNorm that the margins come from; or a
            block, whose last one counts ('backbone.layer1.-1' is bn2 or bn3, whichever
            a ResNet has). They are read once, before training.
    """

    joint = True  # all levels together: their weights depend on how many there are

    def __init__(
        self,
        margin: float = -math.sqrt(2 / math.pi),
        norms: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.norms = norms

    def build(self, site: Site) -> None:
        """Read the margins of the trained teacher."""
        if self.norms is None:
            return
        if len(self.norms) != len(site.teachers):
            raise ValueError(
                f'norms: one for each of {len(site.teachers)} levels, not {self.norms}.'
            )
        for i, (path, level) in enumerate(zip(self.norms, site.teachers)):
            with naming(f"norms: '{path}'"):
                values = margins(_norm(site.look_at(path)))
                if len(values) != level.shape[1]:
                    raise ValueError(
                        f'it has {len(values)} channels, and the teacher '
                        f"'{site.paths[1][i]}' has {level.shape[1]}."
                    )
            self.register_buffer(f'margin{i}', values[:, None, None], persistent=False)

    @exact
    def forward(
        self, student: Levels, teacher: Levels, targets: Targets | None = None
    ) -> Tensor:
        """Compare levels (N, C, H, W), shallow to deep."""
        # same[0 -> -1]: all levels are on one device
        total = student[0].sum() * 0.0
        for i, (s, t) in enumerate(zip(student, teacher)):
            t = t.clamp(min=getattr(self, f'margin{i}', self.margin))
            above = s > t  # same[Gt -> GtE]: equal numbers are not apart
            t = torch.where(above | (t > 0), t, s.detach())  # else nothing to learn
            apart = F.mse_loss(s, t, reduction='sum') / len(s)
            total = total + apart / 2 ** (len(student) - 1 - i)
        return total


def margins(norm: _BatchNorm) -> Tensor:
    """The mean of what is negative behind a BatchNorm, (C,)."""
    bias, scale = norm.bias.double(), norm.weight.double().abs().clamp(min=1e-12)
    share = torch.special.ndtr(-bias / scale)  # that is negative
    density = torch.exp(-((bias / scale) ** 2) / 2) / math.sqrt(2 * math.pi)
    mean = bias - scale * density / share.clamp(min=0.001)
    return torch.where(share > 0.001, mean, -3 * scale).detach().to(norm.bias)


def _norm(module: torch.nn.Module) -> _BatchNorm:
    """A BatchNorm, or the last one directly in a block."""
    found = [part for part in (module, *module.children()) if _is_norm(part)]
    if not found:
        raise ValueError(
            f'no BatchNorm with weight and bias, and none in this '
            f'{type(module).__name__}: name the one in front of the ReLU.'
        )
    return found[-1]  # type: ignore[return-value]


def _is_norm(module: torch.nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.affine
