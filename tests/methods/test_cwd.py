"""CWD: the authors' values, and constants that do not matter."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import CWD

CASES = [Case(CWD, (2, 5, 4, 4)), Case(lambda: CWD(tau=1.0), (2, 5, 4, 4))]
CRITERION = 'github.com/irfanICMLL/TorchDistiller 78bac7c: CriterionCWD'
GOLDEN = [
    Golden(
        lambda: CWD(tau=1),
        (2, 3, 4, 5),
        value=1.3057881618037104,
        source=f"{CRITERION}('channel', 'kl', 1)",
    ),
    Golden(
        lambda: CWD(tau=4),
        (2, 3, 4, 5),
        value=2.051743600238646,
        source=f"{CRITERION}('channel', 'kl', 4)",
    ),
]


@pytest.mark.parametrize('side', [0, 1])
def test_constants_per_channel_do_not_matter(side: int):
    pair = [wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)]
    before = CWD()(*pair)
    pair[side] = pair[side] + wave(2, 3, 1, 1, phase=5)
    assert CWD()(*pair).item() == pytest.approx(before.item(), rel=1e-10)


def test_defaults():
    s, t = wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)
    assert torch.equal(CWD()(s, t), CWD(4.0)(s, t))
