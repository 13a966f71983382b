"""What a codebook is made of: features of a teacher at positions of its maps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import Tensor
from torch.utils.data import Subset

from mmkd.codebook.work import Work
from mmkd.regions import NOTHING, label_map


def pool(teacher: Tensor, size: Sequence[int]) -> Tensor:
    """Average-pool a map to a height and width, those of the student."""
    if tuple(teacher.shape[2:]) == tuple(size):
        return teacher
    return F.adaptive_avg_pool2d(teacher, (size[0], size[1]))


def parts_of(distiller: Any) -> dict[str, Any]:
    """Part of the codebook -> its term."""
    return {term.loss.part: term for term in distiller.terms.values()}


def ratios(distiller: Any) -> dict[str, tuple[int, int]]:
    """For each part, how much to pool, and how many templates the student has."""
    terms = parts_of(distiller)
    records = distiller.rehearse(list(terms.values()))
    found = {}
    for part, term in terms.items():
        (own, *_), (other, *_) = term.levels(records)
        found[part] = (max(1, round(other.shape[2] / own.shape[2])), own.shape[1])
    return found


def maps(distiller: Any, batch: Any) -> Iterator[tuple[str, Tensor, Any]]:
    """Part, a map of the teacher, and the targets, of one batch."""
    data = distiller.data_preprocessor(batch, False)
    samples = data['data_samples']
    terms = parts_of(distiller)
    kept, _ = distiller.teach(data['inputs'], samples, [*terms.values()])
    targets = distiller.task.targets(distiller.student, samples)
    if targets.boxes is not None and targets.input_size is None:
        targets.input_size = tuple(data['inputs'].shape[2:])
    for part, term in terms.items():
        for path in term.teacher_paths:
            for feature in kept[str(term.source)][path]:
                yield part, feature, targets


def positions(
    feature: Tensor, part: str, targets: Any, seeds: list[int], most: int | None
) -> tuple[Tensor, Tensor]:
    """The features (P, C) that count, and their labels (P,)."""
    labels = torch.zeros_like(feature[:, 0], dtype=torch.long)
    if part == 'intermediate':
        labels = label_map(feature, targets)
    chosen = []
    for i, seed in enumerate(seeds):
        known = (labels[i].flatten() != NOTHING).nonzero().flatten().cpu()
        if most is not None:
            generator = torch.Generator().manual_seed(seed)
            known = known[torch.randperm(len(known), generator=generator)[:most]]
        x = feature[i].flatten(1).T
        here = known.to(x.device)
        chosen.append((x[here], labels[i].flatten()[here]))
    return torch.cat([x for x, _ in chosen]), torch.cat([y for _, y in chosen])


def of_batch(
    distiller: Any,
    batch: Any,
    ratio: Mapping[str, int],
    seeds: list[int],
    most: int | None,
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Part, pooled features and labels, of one batch."""
    for part, feature, targets in maps(distiller, batch):
        size = [max(1, round(side / ratio[part])) for side in feature.shape[2:]]
        with torch.no_grad():
            small = pool(feature, size).float()
            x, y = positions(small, part, targets, seeds, most)
        yield part, x, y


def collect(  # noqa: PLR0913
    work: Work,
    distiller: Any,
    dataset: Any,
    indices: list[int],
    ratio: Mapping[str, int],
    loader: Mapping[str, Any],
    most: int | None = None,
) -> None:
    """Write the features of images, from where a stopped run was.

    Args:
        work: Where to.
        distiller: Its terms tap the teacher.
        dataset: The images.
        indices: Which of them.
        ratio: How much each part's maps are pooled.
        loader: Settings of the dataloader.
        most: So many positions of each map, chosen at random; None: all.
    """
    state = work.state(list(ratio))
    if state['images'] == len(indices):
        return
    batches = Runner.build_dataloader(
        dict(
            dataset=Subset(dataset, indices[state['images'] :]),
            sampler=dict(type='DefaultSampler', shuffle=False),
            **loader,
        )
    )
    bar = ProgressBar(len(indices) - state['images'])
    for batch in batches:
        count = len(batch['inputs'])
        seeds = indices[state['images'] : state['images'] + count]
        for part, x, y in of_batch(distiller, batch, ratio, seeds, most):
            work.append(f'{part}.features', x.cpu().numpy().astype('float32'))
            work.append(f'{part}.labels', y.cpu().numpy().astype('int32'))
            state['rows'][part] += len(x)
            state['channels'][part] = x.shape[1]
        state['images'] += count
        work.write('state.json', json.dumps(state))
        bar.update(count)
    print()
