"""FitNets and what they are made of: squared error behind a convolution that aligns."""

from __future__ import annotations

import pytest
import torch
from harness import Case, Connector, Golden, Learns, wave

from mmkd.connectors import Align, FitNet
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
    Connector(lambda: FitNet(MAP[1:], SMALL[1:]), MAP, SMALL),
    Connector(lambda: FitNet(MAP[1:], (6, 4, 4), relu=False), MAP, (2, 6, 4, 4)),
    Connector(lambda: FitNet(MAP[1:], MAP[1:], always=False), MAP, MAP),
]


def hint(
    source: tuple[int, int, int],
    target: tuple[int, int, int],
    value: float,
    gradient: float,
    relu: bool = True,
) -> Golden:
    """A value of RepDistiller's regressor."""
    return Golden(
        MSE,
        [(3, *source)],
        [(3, *target)],
        connector=dict(type='mmkd.FitNet', relu=relu),
        fill=True,
        value=value,
        gradient=gradient,
        source=f'{REPDISTILLER}: HintLoss()(ConvReg(s, t, {relu})(s), t)',
    )


REPDISTILLER = 'github.com/HobbitLong/RepDistiller b84f547'
GOLDEN = [
    hint((4, 4, 4), (6, 2, 2), 5.333331909157384, 0.25404580222796436),
    hint((4, 2, 2), (6, 4, 4), 5.838877077055249, 0.09999953117529228),
    hint((4, 4, 4), (6, 3, 3), 5.8663722310228, 0.13198021820460468),
    hint((4, 4, 4), (6, 4, 4), 5.414464918849474, 0.1059516477008685),
    hint((4, 4, 5), (6, 4, 3), 5.623223262201803, 0.11036165593129563, relu=False),
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
LEARNS = Learns()


def test_batch_is_the_sum_over_the_batch():
    s, t = wave(2, 3, 4, 4), wave(2, 3, 4, 4, phase=1)
    assert MSE('batch')(s, t).item() == pytest.approx(MSE()(s, t).item() * 3 * 4 * 4)


def test_defaults():
    s, t = wave(2, 3, 4, 5), wave(2, 3, 4, 5, phase=1)
    assert MSE()(s, t) == MSE('mean')(s, t)


def test_no_other_reduction():
    with pytest.raises(ValueError, match="reduction.*'batch'"):
        make('loss', dict(type='mmkd.MSE', reduction='sum'))


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match=r'\[5, 8\] positions of \[4, 4\].*Align'):
        FitNet((3, 4, 4), (3, 5, 8))
    with pytest.raises(ValueError, match='maps.*Align'):
        FitNet((3, 4, 4), (3,))
    made = FitNet((3, 4, 4), (3, 3, 3))
    with pytest.raises(ValueError, match=r'makes \(5, 5\) of.*\(6, 6\).*Align'):
        made(torch.zeros(2, 3, 6, 6), like=torch.zeros(2, 3, 6, 6))


def test_equal_shapes_need_no_regressor():
    x = torch.randn(2, 3, 4, 4)
    assert FitNet((3, 4, 4), (3, 4, 4), always=False)(x, like=x) is x
    assert list(FitNet((3, 4, 4), (3, 4, 4)).parameters())
