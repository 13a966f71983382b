"""A config that trains from a recording."""

from __future__ import annotations

from typing import Any


def replayed(config: Any, folder: str, name: str, views: int, seed: int) -> None:
    """Let a config train from a recording; nothing else in it changes.

    Args:
        config: Of a distillation.
        folder: The recording's.
        name: Which teacher it is of.
        views: As in :class:`mmkd.datasets.ReplayedViews`, unless the config has that.
        seed: Likewise.
    """
    loader = config.train_dataloader
    if loader.dataset.get('type') != 'mmkd.ReplayedViews':
        loader.dataset = dict(
            type='mmkd.ReplayedViews', views=views, seed=seed, dataset=loader.dataset
        )
        loader.sampler = dict(type='mmkd.ViewSampler', sampler=loader.sampler)
    several = config.model.get('teachers')
    place, key = (
        (several[name], 'options') if several else (config.model, 'teacher_options')
    )
    place[key] = dict(place.get(key) or {}, recording=folder)
