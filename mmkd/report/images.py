"""The validation images that networks are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS


@dataclass
class Images:
    """Validation images, read as the run read them.

    Args:
        items: What the data set gives: raw image and sample.
        classes: Names of the classes.
        palette: Their colours, if the data set has any.
        total: How many images there are.
        boxes_are_resized: Whether the pipeline resizes boxes with their image. The
            usual ones read annotations afterwards, and leave them as they are.
    """

    items: list[dict[str, Any]]
    classes: list[str] = field(default_factory=list)
    palette: list[Any] = field(default_factory=list)
    total: int = 0
    boxes_are_resized: bool = False

    def batch(self, begin: int, end: int) -> dict[str, Any]:
        """Some of them as one batch, uncollated."""
        chosen = self.items[begin:end]
        return {key: [item[key] for item in chosen] for key in chosen[0]}


def read_images(config: Config, count: int) -> Images:
    """Up to ``count`` validation images, evenly spread over the data set."""
    loader = config.get('val_dataloader') or config.get('test_dataloader')
    dataset = (loader or {}).get('dataset')
    if not isinstance(dataset, Mapping):
        raise ValueError('the config has no validation data set that can be built')
    built = DATASETS.build(dataset)
    total = len(built)
    count = min(count, total)
    items = [built[i * total // count] for i in range(count)]
    meta = getattr(built, 'metainfo', {}) or {}
    classes, palette = meta.get('classes') or [], meta.get('palette') or []
    steps = [str(step.get('type')) for step in dataset.get('pipeline') or ()]
    resized = 'Resize' in steps and 'LoadAnnotations' in steps[: steps.index('Resize')]
    return Images(items, [str(c) for c in classes], list(palette), total, resized)
