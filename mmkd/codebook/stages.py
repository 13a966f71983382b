"""The two parts of a codebook, made of features on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.utils import ProgressBar
from torch import Tensor

from mmkd.codebook.maths import Chunks, kmeans, lda, score_table, starts
from mmkd.codebook.work import Work


@dataclass(frozen=True)
class Recipe:
    """How the parts are made.

    Args:
        subclasses: Of each class.
        components: Of the LDA.
        iterations: Of k-means.
        seed: Of where the centres start.
        device: Where it is computed.
    """

    subclasses: int = 8
    components: int = 60
    iterations: int = 20
    seed: int = 0
    device: str = 'cpu'


def penultimate(work: Work, count: int, recipe: Recipe) -> dict[str, Tensor]:
    """The words of the last map."""
    x, y = work.rows('penultimate')

    def first() -> Tensor:
        return torch.tensor(x[np.sort(starts(y, 1, count, recipe.seed))])

    chunks = work.chunks('penultimate', recipe.device)
    centers = clusters(work, 'penultimate', chunks, first, count, recipe)
    return {'centers': centers.cpu()}


def intermediate(work: Work, count: int, recipe: Recipe) -> dict[str, Tensor]:
    """LDA, sub-classes and their table; with ``count`` 0, of the classes there are."""
    x, y = work.rows('intermediate')
    size = recipe.subclasses
    classes = count // size if count else int(y.max()) + 1
    if y.max() >= classes:
        raise ValueError(
            f'There are labels up to {y.max()}, but {count} templates are enough for '
            f'{classes} classes of {size} sub-classes each: the layer '
            f"'intermediate' wants templates={size * (int(y.max()) + 1)}."
        )
    space = work.load('lda')
    if space is None:
        chunks = work.chunks('intermediate', recipe.device)
        space = [part.cpu() for part in lda(chunks, classes, recipe.components)]
        work.save('lda', space)
    weight, bias = (part.to(recipe.device) for part in space)
    print(f'LDA: {weight.shape[1]} channels, {len(weight)} components')

    def project(f: Tensor) -> Tensor:
        return F.linear(f, weight, bias)

    def first() -> Tensor:
        rows = starts(np.array(y), classes, size, recipe.seed)
        z = project(torch.tensor(x[rows], device=recipe.device))
        z[torch.tensor(rows < 0)] = 0
        return z

    chunks = work.chunks('intermediate', recipe.device, project)
    centers = clusters(work, 'intermediate', chunks, first, size, recipe)
    table = score_table(chunks, centers, size)
    blocks = torch.arange(len(table), device=table.device) // size
    right = (table * (blocks == blocks[:, None])).sum(1).mean()
    print(f'Score table: {right:.1%} of the decisions stay in the true class')
    parts = dict(weight=weight, bias=bias, centers=centers, table=table)
    return {name: tensor.cpu() for name, tensor in parts.items()}


def clusters(  # noqa: PLR0913
    work: Work,
    name: str,
    chunks: Chunks,
    first: Callable[[], Tensor],
    size: int,
    recipe: Recipe,
) -> Tensor:
    """k-means that goes on where a stopped run was."""
    kept: Any = work.load(name)
    done, centers = kept if kept else (0, first())
    print(f'k-means: {len(centers)} centres of the {name} map')
    bar = ProgressBar(max(1, recipe.iterations - done))

    def step(count: int, now: Tensor) -> None:
        work.save(name, [count, now.cpu()])
        bar.update()

    centers = centers.to(recipe.device)
    result = kmeans(chunks, centers, size, recipe.iterations, done, step)
    print()
    return result
