"""How like the teacher's features the others' are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from mmkd.report.features import CKA, LEAST, Layer, look, small
from mmkd.report.images import Images
from mmkd.report.subjects import ANY, Subject, line

# A layer, what it is called, and network -> CKA with the teacher.
Row = tuple[Layer, str, dict[str, float]]
Sums = dict[tuple[Layer, int], dict[str, CKA]]


def add_up(  # noqa: PLR0913
    teacher: Subject,
    others: Sequence[Subject],
    images: Images,
    layers: Sequence[Layer],
    size: int,
    stop: float,
    notes: list[str],
) -> tuple[int, Sums]:
    """How many images were seen, and what CKA is made of, for every layer."""
    sums: Sums = {}
    failed: set[str] = set()
    counted = 0
    for begin in range(0, len(images.items) - LEAST + 1, size):
        item = images.batch(begin, begin + size)
        for layer in layers:
            try:
                theirs = _see(teacher, images, item, layer.teacher)
                for subject in others:
                    own = _see(subject, images, item, layer.student)
                    _add(sums, layer, subject.label, own, theirs)
            except ANY as error:
                failed.add(f'{layer.student}: {line(error)}')
        counted = min(begin + size, len(images.items))
        if time.monotonic() > stop:
            break
    if len(images.items) < LEAST:
        failed.add(f'at least {LEAST} validation images are needed')
    notes += sorted(failed)
    return counted, sums


def rows_of(sums: Sums, notes: list[str]) -> list[Row]:
    """CKA of every layer of the others with the teacher's; equal rows once."""
    rows: list[Row] = []
    for (layer, level), values in sums.items():
        several = sum(key[0] == layer for key in sums) > 1
        name = f'{layer.student}[{level}]' if several else layer.student
        known = {label: cka.value for label, cka in values.items()}
        row = {label: v for label, v in known.items() if v is not None}
        if len(row) < len(known):
            lost = ', '.join(label for label in known if label not in row)
            notes.append(f'{name}: constant, or too few images, for {lost}.')
        if row and row not in [known for _, _, known in rows]:
            rows.append((layer, name, row))
    return rows


def _see(subject: Subject, images: Images, item: Any, path: str) -> list[torch.Tensor]:
    return look(subject, item, [path], images.boxes_are_resized).get(path, [])


def _add(
    sums: Sums,
    layer: Layer,
    label: str,
    own: Sequence[torch.Tensor],
    theirs: Sequence[torch.Tensor],
) -> None:
    if len(own) != len(theirs):
        return
    for level, (x, y) in enumerate(zip(own, theirs)):
        if len(x) == len(y) >= LEAST:
            cka = sums.setdefault((layer, level), {}).setdefault(label, CKA())
            cka.add(small(x), small(y))
