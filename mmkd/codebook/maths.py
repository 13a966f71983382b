"""The maths of letKD's codebooks: k-means, LDA and the score table.

They work on pieces of what may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**25  # numbers in a matrix of distances
# Gives (features, labels), so many at a time.
Chunks = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
Save = Optional[Callable[[int, Tensor], None]]


def distances(x: Tensor, centers: Tensor) -> Tensor:
    """Squared distances (P, K) of (P, C) and (K, C), less the length of each x.

    Neither an argmin nor a softmax over K minds what is left out, and large numbers do
    not cancel.
    """
    return torch.addmm(centers.square().sum(1), x, centers.T, alpha=-2)


def nearest_within(
    z: Tensor, labels: Tensor, centers: Tensor, subclasses: int
) -> Tensor:
    """The index (P,) of the nearest of the centres (K, C) of each one's class."""
    groups = centers.view(-1, subclasses, centers.shape[1])
    own = groups[labels]  # (P, subclasses, C)
    apart = own.square().sum(2) - 2 * torch.einsum('pc,pkc->pk', z, own)
    index: Tensor = labels * subclasses + apart.argmin(1)
    return index


def assign(x: Tensor, labels: Tensor, centers: Tensor, size: int) -> Tensor:
    """The nearest centre within each one's group of ``size`` centres, (P,)."""
    if size == len(centers):  # one group, which all are in
        return distances(x, centers).argmin(1)
    return nearest_within(x, labels, centers, size)


def kmeans(  # noqa: PLR0913
    chunks: Chunks,
    centers: Tensor,
    size: int,
    iterations: int,
    begin: int = 0,
    save: Save = None,
) -> Tensor:
    """Lloyd's iterations, for every group of ``size`` centres (K, C) on its own.

    Args:
        chunks: Gives (features, labels), so many at a time.
        centers: Where they start.
        size: Centres of a group. A label is a group, unless there is only one.
        iterations: How many.
        begin: How many were done before.
        save: Is told how many are done, and the centres.
    """
    rows = max(1, LARGEST // max(len(centers), size * centers.shape[1]))
    for done in range(begin, iterations):
        sums = torch.zeros_like(centers, dtype=torch.float64)
        counts = torch.zeros(len(centers), device=centers.device, dtype=torch.float64)
        for x, labels in chunks(rows):
            nearest = assign(x, labels, centers, size)
            sums.index_add_(0, nearest, x.double())
            counts += torch.bincount(nearest, minlength=len(centers))
        mean = (sums / counts.clamp(min=1)[:, None]).to(centers)
        centers = torch.where(counts[:, None] > 0, mean, centers)
        reseed(centers, counts, size)
        if save:
            save(done + 1, centers)
    return centers


def reseed(centers: Tensor, counts: Tensor, size: int) -> None:
    """Give every empty cluster half of the largest one in its group."""
    for empty in (counts == 0).nonzero().flatten().tolist():
        group = empty // size * size
        largest = group + int(counts[group : group + size].argmax())
        if counts[largest] < 2:
            continue
        step = 1e-3 * centers[largest].abs().max().clamp(min=1e-6)
        centers[empty] = centers[largest] + step
        centers[largest] -= step
        counts[largest] /= 2
        counts[empty] = counts[largest]


def lda(chunks: Chunks, classes: int, components: int) -> tuple[Tensor, Tensor]:
    """Linear discriminant analysis in one pass: weight (m, C) and bias (m,)."""
    total = sums = counts = torch.zeros(())
    for x, labels in chunks(2**16):
        x = x.double()
        if not total.ndim:  # the first piece
            total = x.new_zeros(x.shape[1], x.shape[1])
            sums, counts = x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)
        total += x.T @ x
        sums.index_add_(0, labels, x)
        counts += torch.bincount(labels, minlength=classes)
    there = counts > 0
    number, mean = counts.sum(), sums.sum(0) / counts.sum()
    means = sums[there] / counts[there, None]
    within = total - (means * counts[there, None]).T @ means
    within /= (number - there.sum()).clamp(min=1)
    scale = within.diagonal().clamp(min=0).sqrt()
    scale = torch.where(scale > 0, 1 / scale, 1.0)
    values, vectors = torch.linalg.eigh(within * scale * scale[:, None])
    good = values > 1e-8  # a standard deviation of 1e-4
    whiten = scale[:, None] * vectors[:, good] / values[good].sqrt()
    between = counts[there, None].sqrt() * (means - mean) @ whiten
    _, strength, axes = torch.linalg.svd(between, full_matrices=False)
    rank = int((strength > 1e-4 * strength[0]).sum())
    weight = (whiten @ axes[: min(components, rank)].T).T
    return weight.float(), (-weight @ mean).float()


def score_table(chunks: Chunks, centers: Tensor, size: int) -> Tensor:
    """How often what is in a sub-class is nearest to each sub-class's mean, (K, K).

    Rows add up to 1. An empty sub-class stands for itself.
    """
    rows = max(1, LARGEST // len(centers))
    sums = torch.zeros_like(centers, dtype=torch.float64)
    counts = torch.zeros(len(centers), device=centers.device, dtype=torch.float64)
    for x, labels in chunks(rows):
        own = assign(x, labels, centers, size)
        sums.index_add_(0, own, x.double())
        counts += torch.bincount(own, minlength=len(centers))
    means = (sums / counts.clamp(min=1)[:, None]).to(centers)
    table = torch.zeros(
        len(centers), len(centers), dtype=torch.int32, device=centers.device
    )
    for x, labels in chunks(rows):
        own = assign(x, labels, centers, size)
        apart = distances(x, means).masked_fill(counts == 0, float('inf'))
        one = torch.ones_like(own, dtype=torch.int32)
        table.index_put_((own, apart.argmin(1)), one, accumulate=True)
    result = table / table.sum(1, keepdim=True).clamp(min=1)
    result.diagonal()[counts == 0] = 1
    return result


def starts(labels: np.ndarray[Any, Any], groups: int, size: int, seed: int) -> Any:
    """Which rows the centres start at, ``size`` for each label; -1: there is none."""
    random = np.random.default_rng(seed)
    if groups == 1:
        if len(labels) < size:
            raise ValueError(f'{len(labels)} positions are too few for {size} centres.')
        return random.choice(len(labels), size, replace=False, shuffle=False)
    order = np.argsort(labels, kind='stable')
    edges = np.searchsorted(labels[order], np.arange(groups + 1))
    chosen = np.full((groups, size), -1)
    for group, (begin, end) in enumerate(zip(edges, edges[1:])):
        if end > begin:
            few = end - begin < size
            chosen[group] = order[begin + random.choice(end - begin, size, replace=few)]
    return chosen.reshape(-1)
