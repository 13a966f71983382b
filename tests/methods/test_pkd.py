"""PKD: values of the authors' code, Pearson's correlation, and what does not matter."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Golden, wave

from mmkd.losses import PKD
from mmkd.losses.functional import standardised

CASES = [Case(PKD, (2, 3, 4, 4), batch_coupled=True)]
SOURCE = 'github.com/open-mmlab/mmrazor 90c7af1f: PKDLoss()'
GOLDEN = [
    Golden(
        PKD,
        (2, 3, 4, 5),
        value=0.47074787647100585,
        gradient=0.03595876797258386,
        source=SOURCE,
    ),
    Golden(
        PKD,
        [(2, 3, 4, 5), (2, 3, 2, 2)],
        value=0.872512440781285,
        gradient=0.08896529803563251,
        source=SOURCE,
    ),
]


def test_it_is_one_less_the_correlation() -> None:
    s, t = wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)
    both = [x.movedim(1, 0).flatten(1) for x in (s, t)]
    r = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*both)])
    expected = (1 - r.mean()) * 39 / 40
    assert PKD()(s, t).item() == pytest.approx(expected.item(), rel=1e-5)  # epsilon


@pytest.mark.parametrize('side', [0, 1])
def test_a_channels_mean_and_scale_do_not_matter(side: int) -> None:
    pair = [wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)]
    before = PKD()(*pair).item()
    pair[side] = pair[side] * torch.tensor([2.0, 0.5, 9.0])[:, None, None] + 7
    assert PKD()(*pair).item() == pytest.approx(before, rel=1e-5)


def test_standardised() -> None:
    x = standardised(wave(2, 3, 4, 5), (2, 3), eps=0.0)
    assert x.mean((2, 3)).abs().max() < 1e-12
    assert torch.allclose(x.std((2, 3)), torch.ones(2, 3).double())
    assert not standardised(wave(1, 3, 1, 1), (0, 2, 3)).any()
    halved = standardised(wave(2, 3, 4, 5), (2, 3), eps=1.0)
    assert (halved.std((2, 3)) < 0.9).all()
