"""What the student learned: its features and its answers, beside the others'."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mmkd.report.answers import Answer, Array, Sample, array, ask, pixels, truth
from mmkd.report.features import (
    CKA,
    LEAST,
    Layer,
    attention,
    look,
    small,
    tapped_layers,
)
from mmkd.report.subjects import ANY, Images, Subject, line

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

    layers: list[tuple[Layer, str, dict[str, float]]] = field(default_factory=list)
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
    _attend(subjects, images, layers, chosen, found)
    teacher = next((s for s in subjects if s.role == 'teacher'), None)
    if teacher is not None:
        others = [subject for subject in subjects if subject is not teacher]
        stop = time.monotonic() + seconds * 2 / 3
        _compare_features(teacher, others, images, layers, size, stop, found)
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


def _attend(
    subjects: Sequence[Subject],
    images: Images,
    layers: Sequence[Layer],
    chosen: Sequence[int],
    found: Study,
) -> None:
    """Attention maps of the first layer that is a map in all networks."""
    levels: dict[str, str] = {}
    for layer in layers:
        maps: dict[str, list[Array]] = {}
        for subject in subjects:
            path = layer.teacher if subject.role == 'teacher' else layer.student
            for index in chosen:
                try:
                    seen = look(subject, images.batch(index, index + 1), [path])
                except ANY as error:
                    found.notes.append(f'{subject.label}, {path}: {line(error)}')
                    break
                last = seen[path][-1] if path in seen else None
                if last is None or last.ndim != 4 or last.shape[2] * last.shape[3] < 4:
                    break
                maps.setdefault(subject.label, []).append(array(attention(last)[0]))
                if len(seen[path]) > 1:
                    levels[path] = f'{path}[{len(seen[path]) - 1}]'
        maps = {name: m for name, m in maps.items() if len(m) == len(chosen)}
        if maps and len(maps) >= min(2, len(subjects)):
            found.seen = levels.get(layer.student, layer.student)
            for i, sample in enumerate(found.samples):
                sample.attention = {name: m[i] for name, m in maps.items()}
            return


def _compare_features(  # noqa: PLR0913
    teacher: Subject,
    others: Sequence[Subject],
    images: Images,
    layers: Sequence[Layer],
    size: int,
    stop: float,
    found: Study,
) -> None:
    """CKA of every layer of the others with the teacher's."""
    sums: dict[tuple[Layer, int], dict[str, CKA]] = {}
    failed: set[str] = set()
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
        found.counted = min(begin + size, len(images.items))
        if time.monotonic() > stop:
            break
    if len(images.items) < LEAST:
        failed.add(f'at least {LEAST} validation images are needed')
    found.notes += sorted(failed)
    for (layer, level), values in sums.items():
        several = sum(key[0] == layer for key in sums) > 1
        name = f'{layer.student}[{level}]' if several else layer.student
        known = {label: cka.value for label, cka in values.items()}
        row = {label: v for label, v in known.items() if v is not None}
        if len(row) < len(known):
            lost = ', '.join(label for label in known if label not in row)
            found.notes.append(f'{name}: constant, or too few images, for {lost}.')
        if row and row not in [known for _, _, known in found.layers]:
            found.layers.append((layer, name, row))


def _see(subject: Subject, images: Images, item: Any, path: str) -> list[torch.Tensor]:
    return look(subject, item, [path], images.boxes_are_resized).get(path, [])


def _add(
    sums: dict[tuple[Layer, int], dict[str, CKA]],
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
