"""CWT: a nonlinear map along the channels. tests/test_connectors.py has its form."""

from __future__ import annotations

import torch
from harness import Case, Connector, filled, wave

from mmkd.connectors import CWT
from mmkd.losses import MSE

CASES = [
    Case(
        lambda: MSE('batch'),
        [(2, 4, 4, 4), (2, 3, 2, 2)],
        [(2, 6, 4, 4), (2, 5, 2, 2)],
        connector=dict(type='mmkd.CWT'),
        zero=False,
    ),
]
CONNECTORS = [
    Connector(lambda: CWT((4, 4, 4), (6, 4, 4)), (2, 4, 4, 4), (2, 6, 4, 4)),
    Connector(lambda: CWT((5, 4), (5, 6), depth=2), (2, 5, 4), (2, 5, 6)),
]
NAIVE = ['test_naive']


def test_naive():
    """Position by position: a layer, a ReLU, a layer."""
    made = filled(CWT((2, 2, 2), (3, 2, 2)))
    x, result = wave(1, 2, 2, 2), made(wave(1, 2, 2, 2), like=wave(1, 3, 2, 2))
    (a, b), (c, d) = ((m.weight[..., 0, 0], m.bias) for m in (made.mlp[0], made.mlp[2]))
    for i in range(4):
        inside = x.flatten(2)[0, :, i]
        expected = c @ (a @ inside + b).clamp(min=0) + d
        assert torch.allclose(result.flatten(2)[0, :, i], expected)
