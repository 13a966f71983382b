"""MGD: values of the authors' code with a given mask; masks; what is generated."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from harness import Case, Connector, Golden, Made, filled, wave

from mmkd.connectors import MGD
from mmkd.losses import MSE

BATCH = partial(MSE, 'batch')
MAP, OTHER = (2, 4, 4, 4), (2, 6, 4, 4)
CASES = [
    Case(
        BATCH,
        [MAP],
        [OTHER],
        connector=dict(type='mmkd.MGD', ratio=0.5, hides=hides),
        zero=False,
        batch_coupled=True,  # the other half of a batch has another mask
    )
    for hides in ('positions', 'channels')
]
CONNECTORS = [
    Connector(lambda: MGD(MAP[1:], OTHER[1:], 0.0), MAP, OTHER),
    Connector(lambda: MGD(MAP[1:], (6, 2, 2), 0.0, 'channels'), MAP, (2, 6, 2, 2)),
]
# What the authors' code drew here; it hides above 1 - 0.65, or below 0.4.
DRAWN = {
    'positions': 1 - (wave(2, 1, 4, 4, phase=5, scale=0.5) + 0.5),
    'channels': wave(2, 6, 1, 1, phase=5, scale=0.5) + 0.5,
}


def given(made: Made) -> Any:
    """Parameters as everywhere, and that mask."""
    for connector in made.connectors:
        connector.shown = lambda x, c=connector: DRAWN[c.hides] >= c.ratio
    return filled(made)


def golden(hides: str, ratio: float, width: int, value: float, slope: float) -> Golden:
    file = {'positions': 'det: FeatureLoss', 'channels': 'cls: MGDLoss'}[hides]
    return Golden(
        BATCH,
        [(2, width, 4, 4)],
        [OTHER],
        connector=dict(type='mmkd.MGD', ratio=ratio, hides=hides),
        fill=given,
        value=value,
        gradient=slope,
        source=f"github.com/yzd-v/MGD 2c9da0b: {file}({width}, 6, '', 1.0, {ratio})",
    )


GOLDEN = [
    golden('positions', 0.65, 4, 3935.7495958860936, 496.1118077173116),
    golden('positions', 0.65, 6, 4048.7869666492215, 479.64701595641446),
    golden('channels', 0.4, 4, 3895.5193401163565, 475.9603518111758),
    golden('channels', 0.4, 6, 6606.929217160149, 811.9367564146555),
]


@pytest.mark.parametrize(
    ('hides', 'shape'), [('positions', (50, 1, 8, 9)), ('channels', (50, 64, 1, 1))]
)
def test_mask(hides: Any, shape: tuple[int, ...]) -> None:
    """Of the share that is asked for, drawn anew, and again from the same seed."""
    torch.manual_seed(0)
    made, x = MGD((64, 8, 9), (64, 8, 9), 0.25, hides), torch.zeros(50, 64, 8, 9)
    state = torch.get_rng_state()
    first, second = made.shown(x), made.shown(x)
    assert first.shape == shape and not torch.equal(first, second)
    assert (~first).float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.set_rng_state(state)
    assert torch.equal(made.shown(x), first)


@pytest.mark.parametrize('hides', ['positions', 'channels'])
def test_what_is_hidden_does_not_matter(hides: Any) -> None:
    made, x = filled(MGD(MAP[1:], MAP[1:], 0.5, hides)), wave(*MAP)
    with torch.no_grad():
        torch.manual_seed(1)
        shown = made.shown(x)
        assert 0 < shown.sum() < shown.numel()
        results = []
        for other in (x, x + 9 * ~shown, x + 9 * shown):
            torch.manual_seed(1)
            results.append(made.eval()(other, like=x))
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


def test_all_or_nothing_hidden() -> None:
    x = wave(*MAP)
    assert MGD(MAP[1:], MAP[1:], 0.0).shown(x).all()
    assert not MGD(MAP[1:], MAP[1:], 1.0).shown(x).any()


def test_no_tokens() -> None:
    with pytest.raises(ValueError, match='MGD generates maps.*Align'):
        MGD((16, 8), (8, 4, 4), 0.5)
