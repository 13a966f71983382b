"""A small run in which a model's shapes are looked up, and that leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mmkd.randomness import own_randomness

Size = tuple[int, int]


def image_size(
    model: nn.Module, wanted: int | Size | None = None, otherwise: int = 128
) -> Size:
    """Height and width of the images that a model is rehearsed with.

    Args:
        model: Its backbone may say what it needs, as ``img_size``.
        wanted: What a config says; it counts before the backbone's.
        otherwise: The side where neither says anything.
    """
    size = wanted
    if size is None:
        size = getattr(getattr(model, 'backbone', None), 'img_size', otherwise)
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    return height, width


@contextmanager
def rehearsing(model: nn.Module) -> Iterator[None]:
    """Evaluate without gradients; the mode and the random state stay as they were."""
    training = model.training
    try:
        with own_randomness(), torch.no_grad():
            model.eval()
            yield
    finally:
        model.train(training)
