"""What the student learned: its features and its answers, beside the others'."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmkd.report.answers import Answer, Sample, ask, pixels, truth
from mmkd.report.attention import attend
from mmkd.report.features import tapped_layers
from mmkd.report.images import Images
from mmkd.report.likeness import Row, add_up, rows_of
from mmkd.report.subjects import Subject

SAMPLES = 6
NO_TEACHER = (
    'Features are not compared: no teacher could be loaded. Give its work dir. (A '
    'self-teacher has no features of its own.)'
)


@dataclass
class Study:
    """The findings.

    Args:
        layers: For each layer, network -> CKA with the teacher.
        counted: How many images the CKA is from.
        seen: Layer of the attention maps.
        samples: Some images in detail.
        outcomes: For classifiers: (both right, only baseline, only distilled, neither).
        asked: How many images those are from.
        notes: What could not be done.
    """

    layers: list[Row] = field(default_factory=list)
    counted: int = 0
    seen: str = ''
    samples: list[Sample] = field(default_factory=list)
    outcomes: tuple[int, int, int, int] | None = None
    asked: int = 0
    notes: list[str] = field(default_factory=list)


def study(
    subjects: Sequence[Subject], images: Images, terms: Sequence[Any], seconds: float
) -> Study:
    """Show the images to the networks, for so many seconds (a first batch always)."""
    found = Study()
    layers = tapped_layers(terms)
    trained = [subject for subject in subjects if subject.trained]
    size = 32 if max(images.items[0]['inputs'].shape[1:]) <= 64 else 8
    answers = _ask_all(trained, images, size, seconds / 3)
    found.asked = min((len(a) for a in answers.values()), default=0)
    chosen = _choose(trained, images, answers, found)
    for index in chosen:
        item = images.items[index]
        sample = Sample(pixels(item['inputs']), truth(item, images))
        sample.answers = {name: given[index] for name, given in answers.items()}
        found.samples.append(sample)
    seen, maps = attend(subjects, images, layers, chosen, found.notes)
    if maps:
        found.seen = seen
        for i, sample in enumerate(found.samples):
            sample.attention = {name: m[i] for name, m in maps.items()}
    teacher = next((s for s in subjects if s.role == 'teacher'), None)
    if teacher is not None:
        others = [subject for subject in subjects if subject is not teacher]
        stop = time.monotonic() + seconds * 2 / 3
        found.counted, sums = add_up(
            teacher, others, images, layers, size, stop, found.notes
        )
        found.layers = rows_of(sums, found.notes)
    else:
        found.notes.append(NO_TEACHER)
    return found


def _ask_all(
    subjects: Sequence[Subject], images: Images, size: int, seconds: float
) -> dict[str, list[Answer]]:
    """The networks' answers: to all images of a classifier, else to the first few."""
    answers: dict[str, list[Answer]] = {s.label: [] for s in subjects}
    whole = 'gt_label' in images.items[0]['data_samples']
    count = len(images.items) if whole else min(SAMPLES, len(images.items))
    size = size if whole else 2
    stop = time.monotonic() + seconds
    for begin in range(0, count, size):
        for subject in subjects:
            batch = images.batch(begin, min(begin + size, count))
            answers[subject.label] += ask(subject, batch, images)
        if time.monotonic() > stop:
            break
    return answers


def _choose(
    subjects: Sequence[Subject],
    images: Images,
    answers: dict[str, list[Answer]],
    found: Study,
) -> list[int]:
    """Which images to show: where baseline and student differ, if they classify."""
    count = found.asked
    pair = [
        next((s.label for s in subjects if s.role == role), None)
        for role in ('baseline', 'distilled')
    ]
    whole = 'gt_label' in images.items[0]['data_samples']
    if not whole or None in pair or not count:
        return list(range(min(count, SAMPLES)))
    labels = [int(truth(item, images).labels[0]) for item in images.items[:count]]  # type: ignore[index]
    right = [
        [a.scores.argmax() == y for a, y in zip(answers[str(name)], labels)]  # type: ignore[union-attr]
        for name in pair
    ]
    kinds: list[list[int]] = [[], [], [], []]
    order = [(True, True), (True, False), (False, True), (False, False)]
    for i, (base, ours) in enumerate(zip(*right)):
        kinds[order.index((bool(base), bool(ours)))].append(i)
    found.outcomes = tuple(len(kind) for kind in kinds)  # type: ignore[assignment]
    _, only_base, only_ours, neither = kinds
    picked = [*only_ours[:3], *only_base[:2], *neither[:1]]
    rest = [i for i in range(count) if i not in picked]
    return [*picked, *rest][:SAMPLES]
