"""What the page shows, collected before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmkd.report.compare import Comparison
from mmkd.report.drawing import Drawing
from mmkd.report.images import Images
from mmkd.report.study import Study


@dataclass
class Content:
    """What the page shows.

    Args:
        comparison: The runs.
        numbers: See :func:`mmkd.report.numbers.all_numbers`.
        headline: Figures of the result.
        learning: Figures of the learning curves.
        distillation: For each group its figures.
        similarity: The figure of the features' likeness.
        study: What the networks make of images.
        images: Those images.
        machine: Where times were measured.
        shape: Size of the image that costs are for.
        notes: What was missing, by section.
        title: The page's.
        footer: When and how it was made.
    """

    comparison: Comparison
    numbers: dict[str, Any]
    headline: list[Drawing] = field(default_factory=list)
    learning: list[Drawing] = field(default_factory=list)
    distillation: dict[str, list[Drawing]] = field(default_factory=dict)
    similarity: Drawing | None = None
    study: Study | None = None
    images: Images | None = None
    machine: str = ''
    shape: str = ''
    notes: dict[str, list[str]] = field(default_factory=dict)
    title: str = ''
    footer: str = ''
