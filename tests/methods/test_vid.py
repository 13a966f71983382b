"""VID: RepDistiller's values; the variance at first; what is learned of each level."""

from __future__ import annotations

import cells
import pytest
import torch
import torch.nn.functional as F
from harness import Case, Golden

from mmkd.loss import Site
from mmkd.losses import VID
from mmkd.registry import MODELS

CASES = [
    Case(VID, (2, 4, 4, 4), (2, 3, 4, 4), zero=False, negative=True),
    Case(VID, (2, 4, 4, 4), (2, 3, 2, 2), zero=False, negative=True),
]
SOURCE = 'github.com/HobbitLong/RepDistiller b84f547: VIDLoss(4, 6, 6)'
GOLDEN = [
    Golden(
        VID,
        (3, 4, size, size),
        (3, 6, other, other),
        fill=True,
        value=value,
        gradient=gradient,
        source=SOURCE,
    )
    for size, other, value, gradient in (
        (4, 4, 1.8125587506519691, 0.02728635980804833),
        (4, 2, 1.7671279417940822, 0.026027305712900926),
        (2, 4, 0.6162615940988988, 0.0184956268396741),
    )
]


def built(variance: float = 5.0) -> VID:
    loss = VID(variance)
    loss.build(Site([torch.zeros(2, 4, 2, 2)], [torch.zeros(2, 6, 2, 2)]))
    return loss


@pytest.mark.parametrize('variance', [0.5, 5.0])
def test_variance_at_first(variance: float):
    """Of a teacher that is told exactly only its logarithm is left."""
    loss = built(variance)
    x = torch.randn(3, 4, 2, 2)
    assert torch.allclose(F.softplus(loss.log_scale), torch.tensor(variance - 1e-5))
    half = torch.tensor(variance).log() / 2
    assert torch.allclose(loss(x, loss.regress(x)), half, atol=1e-6)
    away = loss(x, loss.regress(x) + 2)
    assert torch.allclose(away, half + 2 / variance, atol=1e-5)


def test_it_falls_below_zero():
    loss = built(1e-2)
    x = torch.randn(3, 4, 2, 2)
    assert loss(x, loss.regress(x)) < -2


def test_every_level_has_its_own_and_they_learn():
    distiller = MODELS.build(cells.cell('vid', 'cifar'))
    losses = distiller.terms['loss_vid'].losses
    assert [len(loss.log_scale) for loss in losses] == [8, 16, 32]
    own = dict(distiller.named_parameters())
    assert all(any(p is q for q in own.values()) for p in losses.parameters())
