"""FitNets and what they are made of: squared error behind a convolution that aligns."""

from __future__ import annotations

import pytest
from harness import Case, Connector, Golden, wave

from mmkd.connectors import Align
from mmkd.losses import MSE
from mmkd.registry import make

CASES = [
    Case(MSE, (2, 5, 4, 4)),
    Case(lambda: MSE('batch'), (2, 7, 5)),
]
MAP, SMALL = (2, 4, 4, 4), (2, 6, 2, 2)
CONNECTORS = [
    Connector(lambda: Align(MAP[1:], SMALL[1:]), MAP, SMALL),
    Connector(lambda: Align((4, 3, 3), (6, 5, 4)), (2, 4, 3, 3), (2, 6, 5, 4)),
    Connector(
        lambda: Align(MAP[1:], (6, 4, 4), norm=True, relu=True), MAP, (2, 6, 4, 4)
    ),
    # With a class token.
    Connector(lambda: Align((5, 4), SMALL[1:]), (2, 5, 4), SMALL),
]
GOLDEN = [
    Golden(
        lambda: MSE('batch'),
        (2, 3, 4, 5),
        value=255.84238656551315,
        source='github.com/yzd-v/MGD 2c9da0b: MGDLoss without mask, generator, weight',
    ),
    Golden(
        MSE,
        [wave(2, 4, 4, 4), wave(2, 6, 2, 2, phase=1)],
        [wave(2, 8, 4, 4, phase=2), wave(2, 12, 2, 2, phase=3)],
        connector=dict(type='mmkd.Align', norm=True, bias=False, relu=True),
        fill=True,
        value=13.324862237712672,
        source='github.com/MingiJi/FRSKD 98b87e5: HintLoss, beta alone',
    ),
]


def test_batch_is_the_sum_over_the_batch():
    s, t = wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)
    assert MSE('batch')(s, t).item() == pytest.approx(MSE()(s, t).item() * 3 * 4 * 4)


def test_defaults():
    s, t = wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)
    assert MSE()(s, t) == MSE('mean')(s, t)


def test_no_other_reduction():
    with pytest.raises(ValueError, match="reduction.*'batch'"):
        make('loss', dict(type='mmkd.MSE', reduction='sum'))
