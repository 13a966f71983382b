"""SP: values of the authors' code, and what must not change them."""

from __future__ import annotations

import torch
from harness import Case, Golden, wave

from mmkd.losses import SP

CASES = [Case(SP, (4, 3, 2, 2), (4, 5, 2, 2), batch_coupled=True)]
SOURCE = 'github.com/HobbitLong/RepDistiller b84f547: Similarity()'
GOLDEN = [
    Golden(
        SP,
        (4, 3, 2, 2),
        (4, 5, 2, 2),
        value=0.0016214458588002362,
        gradient=0.005180813913695387,
        source=SOURCE,
    ),
    Golden(
        SP,
        (6, 7),
        (6, 4),
        value=0.2384395932460441,
        gradient=0.01224873763531673,
        source=SOURCE,
    ),
]


def test_a_factor_does_not_matter() -> None:
    x = wave(4, 3, 2, 2)
    assert SP()(x, 2 * x) < 1e-12
    assert torch.allclose(SP()(3 * x, x.cos()), SP()(x, x.cos()))
