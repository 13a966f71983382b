"""What a recording will hold: shape and form of every level, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmkd.recording.arrays import Meta, arrays_of

Levels = dict[str, list[Meta]]


def plan(
    first: Mapping[str, Sequence[Tensor]],
    terms: Iterable[Any],
    count: int,
    dtype: str,
    top_k: int | None,
) -> Levels:
    """Shape and form of every level.

    Args:
        first: What the teacher says to a first batch.
        terms: Those that listen to it.
        count: How many images the batch has.
        dtype: 'float16' or 'float32'.
        top_k: Of logits keep only so many.
    """
    soft = temperatures(terms)
    planned: Levels = {}
    for path, levels in first.items():
        planned[path] = []
        for level in levels:
            if level.ndim < 1 or len(level) != count:
                raise ValueError(
                    f"'{path}' is {tuple(level.shape)}, and not of one image each."
                )
            form: Meta = dict(shape=list(level.shape[1:]), dtype=dtype)
            if top_k and soft[path] and level.ndim == 2 and top_k < level.shape[1]:
                form.update(k=top_k, tau=soft[path])
            planned[path].append(form)
    if top_k and not any('k' in form for forms in planned.values() for form in forms):
        raise ValueError(
            'top-k: no term compares softmax probabilities of more classes (with no '
            'other loss, temperature or connector on the same path).'
        )
    return planned


def temperatures(terms: Iterable[Any]) -> dict[str, float]:
    """Path -> at which temperature a softmax is all that terms want of it; else 0."""
    wanted: dict[str, set[float]] = {}
    for term in terms:
        own = 0.0 if term.teacher.configs else term.loss.softmax_at or 0.0
        for path in term.teacher_paths:
            wanted.setdefault(path, set()).add(own)
    return {path: min(own) if len(own) == 1 else 0.0 for path, own in wanted.items()}


def bytes_of(levels: Levels) -> float:
    """How many bytes a view takes."""
    arrays = [
        array
        for forms in levels.values()
        for form in forms
        for array in arrays_of(form).values()
    ]
    size = 4  # of the view's checksum
    return size + sum(math.prod(shape) * np.dtype(d).itemsize for shape, d in arrays)


def check_level(path: str, tensor: Tensor, form: Meta) -> None:
    """Raise if a tensor does not fit what was planned."""
    if list(tensor.shape[1:]) != form['shape']:
        raise ValueError(
            f"'{path}' is {tuple(tensor.shape[1:])} for some images and "
            f'{tuple(form["shape"])} for others: resize them to one size.'
        )
    most = torch.finfo(getattr(torch, form['dtype'])).max
    if not (tensor.abs() <= most).all():  # nor is NaN
        raise ValueError(
            f"'{path}' has values that {form['dtype']} cannot hold; "
            + ('take --dtype float32' if most < 1e5 else 'is the teacher trained?')
        )
