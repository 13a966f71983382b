"""SAKD-style (reconstructed): features of any width as vectors of one length.

Guo et al., Semantic-aware knowledge distillation with parameter-free feature
uniformization, Visual Intelligence 1:6, 2023.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Count, Positive, Shape
from mmkd.loss import in_fp32
from mmkd.registry import MODELS


@MODELS.register_module()
class Uniformize(nn.Module):
    r"""Turn a map (N, C, H, W) or tokens (N, L, C) into a vector (N, D), D without C.

    Put the same one behind student and teacher: as ``connector`` and as
    ``teacher_connector``. Sides of a map that are longer are pooled to ``size`` first,
    giving L tokens x_i with C channels each.

    - ``'u2'``: how alike the positions are. A = softmax over j != i of
      cos(x_i, x_j) / tau, the vector is (L - 1) A - 1 without the diagonal, of length
      L (L - 1). Any permutation or rotation of the channels leaves it as it is.
    - ``'u1'``: channels attend to each other. With X (C, L) normalised over all of it,
      A = softmax(X X^T / sqrt(L)), the vector is the mean over channels of A X, of
      length L.
    - ``'u3'``: the mean token asks. a = softmax_i(cos(mean x, x_i) / tau), the vector
      is L a - 1, of length L.

    RECONSTRUCTION: the paper's abstract says that the operation is a self-attention
    without parameters that gives vectors of one length, the same for teacher and
    student. The equations, the size and tau are our guesses.

    Args:
        source: Shape of what comes in; given by the term, not needed.
        target: Shape on the other side; likewise.
        form: 'u1', 'u2' or 'u3'.
        size: What longer sides of a map are pooled to; None leaves them.
        tau: Temperature of 'u2' and 'u3'.
        diagonal: Let a position of 'u2' attend to itself as well. It always does so
            most, whatever the image: then A = softmax_j(cos(x_i, x_j) / tau), the
            vector is L A - 1, of length L^2.
    """

    def __init__(  # noqa: PLR0913
        self,
        source: Shape = (),
        target: Shape = (),
        form: Literal['u1', 'u2', 'u3'] = 'u2',
        size: Count | None = 4,
        tau: Positive = 0.25,
        diagonal: bool = False,
    ) -> None:
        super().__init__()
        self.form = form
        self.size = size
        self.tau = tau
        self.diagonal = diagonal

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        """Uniformize in fp32, whatever comes in."""
        with torch.autocast(feature.device.type, enabled=False):
            x = self._tokens(feature)
            if self.form == 'u1':
                return _channels_attend(x)
            vector = F.normalize(x, dim=2, eps=1e-6)
            if self.form == 'u2':
                alike = vector @ vector.mT / self.tau
                alike = alike if self.diagonal else _others(alike)
            else:
                query = F.normalize(x.mean(1, keepdim=True), dim=2, eps=1e-6)
                alike = query @ vector.mT / self.tau
            return (alike.softmax(2) * alike.shape[2] - 1).flatten(1)

    def _tokens(self, feature: Tensor) -> Tensor:
        """A map or tokens as (N, L, C), pooled."""
        x = in_fp32(feature)
        if x.ndim == 3:
            return x
        # same[2 -> 3, Gt -> GtE]: only speed
        if self.size is not None and max(x.shape[-2:]) > self.size:
            height, width = (min(n, self.size) for n in x.shape[-2:])
            x = F.adaptive_avg_pool2d(x, (height, width))
        return x.flatten(2).mT


def _others(pairs: Tensor) -> Tensor:
    """Pairs of positions (N, L, L) without those of one with itself: (N, L, L - 1)."""
    count, length, _ = pairs.shape
    if length < 2:
        raise ValueError(
            'Uniformize: a map of one position has no others to be compared with: tap '
            'a level with a larger map, or set diagonal=True.'
        )
    # What lies between two entries of the diagonal, and they come after L + 1 each.
    between = pairs.flatten(1)[:, 1:].view(count, length - 1, length + 1)[..., :-1]
    return between.reshape(count, length, length - 1)


def _channels_attend(x: Tensor) -> Tensor:
    """Channels attend to channels; their mean: tokens (N, L, C) to (N, L)."""
    rows = F.layer_norm(x.mT, x.mT.shape[1:])
    attention = (rows @ rows.mT / x.shape[1] ** 0.5).softmax(2)
    mean: Tensor = (attention @ rows).mean(1)
    return mean
