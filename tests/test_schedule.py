"""Schedules: the factor of every kind, by iteration and by epoch."""

from __future__ import annotations

import math

import pytest
from mmengine.logging import MessageHub

from mmkd.schedule import current_factor, make_piece

TIMES = (0, 2, 4, 6, 9)


@pytest.mark.parametrize(
    ('config', 'factors'),
    [
        (dict(kind='linear', end=4), (0, 0.5, 1, 1, 1)),
        (dict(kind='linear', begin=2, end=6), (0, 0, 0.5, 1, 1)),
        (dict(kind='linear', start=1, stop=0.5, end=4), (1, 0.75, 0.5, 0.5, 0.5)),
        (dict(kind='linear'), (0, 0.2, 0.4, 0.6, 0.9)),  # over the whole run
        (dict(kind='cosine', end=4), (0, 0.5, 1, 1, 1)),
        (dict(kind='cosine', begin=2, end=6), (0, 0, 0.5, 1, 1)),
        (
            dict(kind='sigmoid', end=4),
            (math.exp(-5), math.exp(-5 / 4), 1, 1, 1),
        ),
        (dict(kind='constant', factor=0.3, end=4), (0.3, 0.3, 1, 1, 1)),
        (dict(kind='constant', factor=0.3, begin=4), (1, 1, 0.3, 0.3, 0.3)),
        (dict(kind='step', milestones=(2, 6)), (1, 0.1, 0.1, 0.01, 0.01)),
        (dict(kind='step', milestones=(6, 4), gamma=0.5), (1, 1, 0.5, 0.25, 0.25)),
        (dict(kind='stop', begin=4), (1, 1, 0, 0, 0)),
        (dict(kind='linear', begin=4, end=4), (0, 0, 1, 1, 1)),
        (dict(kind='linear', end=0.4), (0, 0.5, 1, 1, 1)),  # shares of the run
        (dict(kind='stop', begin=0.5), (1, 1, 1, 0, 0)),
        (dict(kind='step', milestones=(0.2, 6)), (1, 0.1, 0.1, 0.01, 0.01)),
        (dict(kind='every', steps=3, factor=2.0), (2, 0, 0, 2, 2)),
        (dict(kind='every'), (1, 1, 1, 1, 1)),
    ],
)
def test_factors(config: dict, factors: tuple[float, ...]):
    piece = make_piece(config)
    assert [piece.at(time, 10) for time in TIMES] == pytest.approx(factors)


@pytest.mark.parametrize('by', ['iter', 'epoch'])
def test_progress_comes_from_the_run(by: str):
    hub = MessageHub.get_current_instance()
    pieces = tuple(
        make_piece(dict(config, by=by))
        for config in (dict(kind='linear', end=4), dict(kind='stop', begin=5))
    )
    for time, factor in ((0, 0), (2, 0.5), (4, 1), (5, 0)):
        hub.update_info(by, time)
        hub.update_info(f'max_{by}s', 10)
        assert current_factor(pieces) == factor


def test_without_a_run():
    with pytest.raises(RuntimeError, match='RuntimeInfoHook'):
        current_factor((make_piece(dict(kind='linear', by='epoch')),))


@pytest.mark.parametrize(
    ('config', 'refused'),
    [
        (dict(kind='linear', end=4), True),
        (dict(kind='stop', begin=4), True),
        (dict(kind='step', milestones=(4,)), True),
        (dict(kind='constant', factor=0.3), False),
    ],
)
def test_epochs_of_a_run_of_iterations(config: dict, refused: bool):
    """mmengine calls such a run one epoch: nothing would ever change."""
    hub = MessageHub.get_current_instance()
    hub.update_info('epoch', 0)
    hub.update_info('max_epochs', 1)
    pieces = (make_piece(dict(config, by='epoch')),)
    if not refused:
        assert current_factor(pieces) == 0.3
        return
    with pytest.raises(ValueError, match="epochs up to 4, .* use by='iter'"):
        current_factor(pieces)


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (dict(kind='linea'), "schedule.kind: 'linea' is not 'constant' or 'linear'"),
        (
            dict(kind='linear', by='step'),
            "schedule.by: 'step' is not 'iter' or 'epoch'",
        ),
        (dict(kind='linear', begin=5, end=3), 'ends at 3, before 5'),
        (dict(end=3), r"missing \['kind'\]"),
        (dict(kind='stop', begin=2.5), 'a share in'),
    ],
)
def test_mistakes(config: dict, words: str):
    with pytest.raises(ValueError, match=words):
        make_piece(config)
