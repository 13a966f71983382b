#!/usr/bin/env python3
r"""Make the codebook that letKD's losses read, from a teacher and its training set.

For a config of a distillation, into the file that its terms name:

    python tools/build_codebook.py \
        configs/letkd/letkd_resnet56_resnet20_1xb64_cifar100.py

For a teacher's own config, given what a distillation config would say:

    python tools/build_codebook.py teacher.py codebooks/mine.pth \
        --checkpoint teacher.pth --intermediate backbone.layer4.0

Of large data sets a part is enough, and need not be large on disk:

    python tools/build_codebook.py CONFIG --images 200000 --positions 8

The training images go through the teacher without augmentation. Features wait on disk,
beside the result, and are read in pieces. A run that was stopped goes on where it was
when it is started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import Tensor

PARTS = {'penultimate': 'LetKDPenultimate', 'intermediate': 'LetKDIntermediate'}
LARGEST = 2**25  # numbers in a matrix of distances
Chunks = Callable[[int], Iterator[tuple['Tensor', 'Tensor']]]
Save = Optional[Callable[[int, 'Tensor'], None]]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help="a distillation's config with letKD's terms, or a teacher's own")
    add(
        'out', nargs='?', type=Path, help='the file to write (default: as in the terms)'
    )
    add('--letkd', type=int, choices=(1, 2), default=2, help='1: the last map only')
    add('--checkpoint', help="the teacher's weights, with a teacher's own config")
    add('--penultimate', default='backbone[-1]', help='path in the teacher, likewise')
    add('--intermediate', help='path in the teacher, likewise; none: letKD-1')
    add('--templates', type=int, default=4096, help='k-means centres, likewise')
    add('--pool', type=int, default=1, help='average-pool the maps so much, likewise')
    add('--subclasses', type=int, default=8, help='of each class')
    add('--components', type=int, default=60, help='of the LDA')
    add('--iterations', type=int, default=20, help='of k-means')
    add('--images', type=int, help='take so many images, chosen at random')
    add('--positions', type=int, help='take so many of each map, chosen at random')
    add('--batch-size', type=int, help="default: the config's for validation")
    add('--workers', type=int, default=2, help='processes that read images')
    add('--device', help='--device cuda:1, or cpu (default: a GPU if there is one)')
    add('--seed', type=int, default=0, help='of all that is chosen at random')
    add('--work-dir', type=Path, help='for the features (default: OUT.work)')
    add('--keep', action='store_true', help='do not delete them at the end')
    add('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE')
    return parser.parse_args(argv)


# -- k-means, LDA, score table: on pieces of what may be larger than memory -----------


def assign(x: Tensor, labels: Tensor, centers: Tensor, size: int) -> Tensor:
    """The nearest centre within each one's group of ``size`` centres, (P,)."""
    from mmkd.losses.letkd import distances, nearest_within

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
    import torch

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
    import torch

    total, sums, counts = None, None, None
    for x, labels in chunks(2**16):
        x = x.double()
        if total is None:
            total = x.new_zeros(x.shape[1], x.shape[1])
            sums, counts = x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)
        total += x.T @ x
        sums.index_add_(0, labels, x)
        counts += torch.bincount(labels, minlength=classes)
    assert total is not None
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
    import torch

    from mmkd.losses.letkd import distances

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


# -- what waits on disk ----------------------------------------------------------------


class Work:
    """The folder of a run: features, and the results of the stages that are done."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / 'settings.json'
        settings = json.loads(json.dumps(settings))
        if file.is_file() and json.loads(file.read_text()) != settings:
            raise ValueError(
                f"'{folder}' holds what another run, with other settings, has left. "
                'Delete it or give another --work-dir.'
            )
        self.write('settings.json', json.dumps(settings))

    def write(self, name: str, text: str) -> None:
        """Write a file that is either whole or not there."""
        part = self.folder / f'{name}.part'
        part.write_text(text)
        part.replace(self.folder / name)

    def append(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Add rows to a file."""
        with open(self.folder / name, 'ab') as file:
            file.write(array.tobytes())

    def load(self, name: str) -> Any:
        """What a stage has saved, or None."""
        import torch

        file = self.folder / f'{name}.pth'
        return torch.load(file, weights_only=True) if file.is_file() else None

    def save(self, name: str, content: Any) -> None:
        """Keep what a stage has made."""
        import torch

        save(content, self.folder / f'{name}.pth', torch)

    def rows(self, part: str) -> tuple[Any, Any]:
        """Features (P, C) and labels (P,), on disk."""
        state = json.loads((self.folder / 'state.json').read_text())
        count, channels = state['rows'][part], state['channels'][part]
        if not count:
            raise ValueError(f'{part}: no position of the training set has a class.')
        x = np.memmap(self.folder / f'{part}.features', 'float32', 'r')
        y = np.memmap(self.folder / f'{part}.labels', 'int32', 'r')
        return x[: count * channels].reshape(count, channels), y[:count]

    def chunks(
        self, part: str, device: Any, project: Callable[[Tensor], Tensor] | None = None
    ) -> Chunks:
        """Read them in pieces; perhaps projected."""
        import torch

        x, y = self.rows(part)

        def read(size: int) -> Iterator[tuple[Tensor, Tensor]]:
            for i in range(0, len(x), size):
                piece = torch.tensor(x[i : i + size], device=device)
                labels = torch.tensor(y[i : i + size].astype('int64'), device=device)
                yield (project(piece) if project else piece), labels

        return read


def save(content: Any, file: Path, torch: Any) -> None:
    part = file.with_name(file.name + '.part')
    torch.save(content, part)
    part.replace(file)


# -- features --------------------------------------------------------------------------


def innermost(dataset: Any) -> Any:
    """The data set in wrappers such as RepeatDataset."""
    while 'pipeline' not in dataset and ('dataset' in dataset or 'datasets' in dataset):
        dataset = dataset.dataset if 'dataset' in dataset else dataset.datasets[0]
    return dataset


def unaugmented(config: Config) -> Any:
    """The training set's config, with the transforms of the validation set."""
    dataset = config.train_dataloader.dataset
    own = innermost(dataset)
    tested = config.get('val_dataloader') or config.get('test_dataloader')
    steps = [dict(step) for step in innermost(tested.dataset).pipeline]
    # Behind the image, so that boxes and maps are resized as it is.
    steps = [step for step in steps if 'LoadAnnotations' not in step['type']]
    loads = [dict(s) for s in own.pipeline if 'LoadAnnotations' in s['type']]
    place = sum('LoadImage' in step['type'] for step in steps)
    parts = own.get('datasets') or [own]
    for part in [*parts, own]:
        part.pipeline = steps[:place] + loads + steps[place:]
    return dataset


def build(args: argparse.Namespace, config: Config) -> Any:
    """A distiller whose terms tap what is needed."""
    from mmengine.registry import init_default_scope

    from mmkd.mixin import is_distillation
    from mmkd.registry import MODELS

    init_default_scope(config.get('default_scope') or 'mmengine')
    if is_distillation(config):
        model = config.model.to_dict()
    else:
        if not args.checkpoint:
            raise ValueError("A teacher's own config needs --checkpoint.")
        taps = {part: getattr(args, part) for part in PARTS if getattr(args, part)}
        terms = {
            f'loss_{part}': dict(
                student=path, teacher=path, loss=dict(type=f'mmkd.{PARTS[part]}')
            )
            for part, path in taps.items()
        }
        own = config.model.to_dict()
        if config.get('data_preprocessor') is not None:
            own.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
        model = dict(type='mmkd.Distiller', student=own, teacher=own, terms=terms)
        model['teacher_ckpt'] = args.checkpoint
    kinds = list(PARTS.values())[: args.letkd]
    model['terms'] = {
        name: dict(term, loss=dict(term['loss'], codebook='random'))
        for name, term in model['terms'].items()
        if term['loss']['type'].rpartition('.')[2] in kinds
    }
    if not model['terms']:
        raise ValueError(f'The config has no term with one of {kinds}.')
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
    return MODELS.build(model)


def parts_of(distiller: Any) -> dict[str, Any]:
    """Part of the codebook -> its term."""
    return {term.loss.part: term for term in distiller.terms.values()}


def ratios(distiller: Any) -> dict[str, tuple[int, int]]:
    """For each part, how much to pool, and how many templates the student has."""
    terms = parts_of(distiller)
    student, teachers = distiller.rehearse(list(terms.values()))
    found = {}
    for part, term in terms.items():
        (own, *_), (other, *_) = term.levels(student, teachers[str(term.source)])
        found[part] = (max(1, round(other.shape[2] / own.shape[2])), own.shape[1])
    return found


def maps(distiller: Any, batch: Any) -> Iterator[tuple[str, Tensor, Any]]:
    """Part, a map of the teacher, and the targets, of one batch."""
    data = distiller.data_preprocessor(batch, False)
    samples = data['data_samples']
    terms = parts_of(distiller)
    kept, _ = distiller.teach(data['inputs'], samples, [*terms.values()], None)
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
    import torch

    from mmkd.regions import NOTHING, label_map

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


def collect(args: argparse.Namespace, work: Work, run: dict[str, Any]) -> None:
    """Write the features of all images, from where a stopped run was."""
    import torch
    from mmengine.runner import Runner
    from mmengine.utils import ProgressBar
    from torch.utils.data import Subset

    from mmkd.losses.letkd import pool

    parts, indices = list(run['pool']), run['indices']
    state = {'images': 0, 'rows': dict.fromkeys(parts, 0), 'channels': {}}
    if (work.folder / 'state.json').is_file():
        state = json.loads((work.folder / 'state.json').read_text())
    if state['images'] == len(indices):
        return
    loader = Runner.build_dataloader(
        dict(
            dataset=Subset(run['dataset'], indices[state['images'] :]),
            batch_size=run['batch_size'],
            num_workers=args.workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=run['collate'],
        )
    )
    for part in parts:  # what was written after the last note of how far it is
        for kind, width in (('features', state['channels'].get(part)), ('labels', 1)):
            with open(work.folder / f'{part}.{kind}', 'ab') as file:
                file.truncate(state['rows'][part] * (width or 0) * 4)
    bar = ProgressBar(len(indices) - state['images'])
    for batch in loader:
        count = len(batch['inputs'])
        seeds = indices[state['images'] : state['images'] + count]
        for part, feature, targets in maps(run['distiller'], batch):
            ratio = run['pool'][part]
            size = [max(1, round(side / ratio)) for side in feature.shape[2:]]
            with torch.no_grad():
                x, y = positions(
                    pool(feature, size).float(), part, targets, seeds, args.positions
                )
            work.append(f'{part}.features', x.cpu().numpy().astype('float32'))
            work.append(f'{part}.labels', y.cpu().numpy().astype('int32'))
            state['rows'][part] += len(x)
            state['channels'][part] = x.shape[1]
        state['images'] += count
        work.write('state.json', json.dumps(state))
        bar.update(count)
    print()


# -- the whole -------------------------------------------------------------------------


def clusters(  # noqa: PLR0913
    args: argparse.Namespace,
    work: Work,
    name: str,
    chunks: Chunks,
    first: Callable[[], Tensor],
    size: int,
) -> Tensor:
    """k-means that goes on where a stopped run was."""
    from mmengine.utils import ProgressBar

    kept = work.load(name)
    done, centers = kept if kept else (0, first())
    print(f'k-means: {len(centers)} centres of the {name} map')
    bar = ProgressBar(max(1, args.iterations - done))

    def step(count: int, now: Tensor) -> None:
        work.save(name, [count, now.cpu()])
        bar.update()

    centers = centers.to(args.device)
    result = kmeans(chunks, centers, size, args.iterations, done, step)
    print()
    return result


def penultimate(args: argparse.Namespace, work: Work, count: int) -> dict[str, Tensor]:
    """The words of the last map."""
    import torch

    x, y = work.rows('penultimate')

    def first() -> Tensor:
        return torch.tensor(x[np.sort(starts(y, 1, count, args.seed))])

    chunks = work.chunks('penultimate', args.device)
    centers = clusters(args, work, 'penultimate', chunks, first, count)
    return {'centers': centers.cpu()}


def intermediate(args: argparse.Namespace, work: Work, count: int) -> dict[str, Tensor]:
    """LDA, sub-classes and their table."""
    import torch
    import torch.nn.functional as F

    x, y = work.rows('intermediate')
    size = args.subclasses
    classes = count // size if count else int(y.max()) + 1
    if y.max() >= classes:
        raise ValueError(f'There are labels up to {y.max()}, but {classes} classes.')
    space = work.load('lda')
    if space is None:
        chunks = work.chunks('intermediate', args.device)
        space = [part.cpu() for part in lda(chunks, classes, args.components)]
        work.save('lda', space)
    weight, bias = (part.to(args.device) for part in space)
    print(f'LDA: {weight.shape[1]} channels, {len(weight)} components')

    def project(f: Tensor) -> Tensor:
        return F.linear(f, weight, bias)

    def first() -> Tensor:
        rows = starts(np.array(y), classes, size, args.seed)
        z = project(torch.tensor(x[rows], device=args.device))
        z[torch.tensor(rows < 0)] = 0
        return z

    chunks = work.chunks('intermediate', args.device, project)
    centers = clusters(args, work, 'intermediate', chunks, first, size)
    table = score_table(chunks, centers, size)
    blocks = torch.arange(len(table), device=table.device) // size
    right = (table * (blocks == blocks[:, None])).sum(1).mean()
    print(f'Score table: {right:.1%} of the decisions stay in the true class')
    parts = dict(weight=weight, bias=bias, centers=centers, table=table)
    return {name: tensor.cpu() for name, tensor in parts.items()}


def data_digest(dataset: Any) -> str:
    """A hash of what the images are called and of their labels."""
    hashed = hashlib.sha256(str(len(dataset)).encode())
    for i in range(len(dataset) if hasattr(dataset, 'get_data_info') else 0):
        info = dataset.get_data_info(i)
        name = Path(str(info.get('img_path', i))).name
        hashed.update(f'{name} {info.get("gt_label")}\n'.encode())
    return hashed.hexdigest()


def report(distiller: Any, size: tuple[int, int]) -> None:
    """What the layers cost the student."""
    from mmengine.analysis import get_model_complexity_info

    from mmkd.networks.letkd import overhead

    cost = overhead(distiller.student, size)
    if not cost['macs']:
        return
    more = cost['layered'] - cost['plain']
    backbone = distiller.student.backbone
    backbone.eval()  # some return None
    counted = get_model_complexity_info(
        backbone, (3, *size), show_table=False, show_arch=False
    )
    plain = counted['flops'] - cost['macs']
    print(
        f'The student has {cost["plain"] / 1e6:.3f} M parameters, and '
        f'{more / 1e6:.3f} M in KD layers (+{more / cost["plain"]:.0%}); its backbone '
        f'{plain / 1e6:.1f} M multiplications at {size[0]}x{size[1]}, and '
        f'{cost["macs"] / 1e6:.1f} M in KD layers (+{cost["macs"] / plain:.0%}).'
    )


def default_out(config: Config) -> Path:
    """Where the config's terms look for the codebook."""
    terms = config.model.get('terms') or {}
    files = {term.loss.get('codebook') for term in terms.values()} - {None, 'random'}
    if len(files) != 1:
        raise ValueError(f'Say which file to write; the terms name {sorted(files)}.')
    return Path(files.pop())


def prepare(args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """Models and data."""
    from mmengine.registry import DATASETS

    from mmkd.mixin import is_distillation

    distiller = build(args, config).to(args.device)
    distiller.eval()
    found = ratios(distiller)
    dataset = DATASETS.build(unaugmented(config))
    count = len(dataset)
    indices = np.arange(count)
    if args.images and args.images < count:
        chosen = np.random.default_rng(args.seed).permutation(count)[: args.images]
        indices = np.sort(chosen)
    own = is_distillation(config)
    val = config.get('val_dataloader') or config.get('test_dataloader')
    return dict(
        distiller=distiller,
        dataset=dataset,
        indices=indices.tolist(),
        batch_size=args.batch_size or val.batch_size,
        collate=val.get('collate_fn') or dict(type='pseudo_collate'),
        pool={part: ratio if own else args.pool for part, (ratio, _) in found.items()},
        templates={
            part: number if own else {'penultimate': args.templates}.get(part, 0)
            for part, (_, number) in found.items()
        },
    )


def make(args: argparse.Namespace) -> None:
    import torch
    from mmengine.device import get_device

    from mmkd.build import read_config
    from mmkd.launch import merge_options
    from mmkd.losses.letkd import digest

    config = read_config(args.config)
    merge_options(config, args.cfg_options)
    args.device = args.device or get_device()
    out = args.out or default_out(config)
    if out.is_file():
        raise ValueError(f"'{out}' is there already: delete it to make it again.")
    run = prepare(args, config)
    distiller = run['distiller']
    image = distiller.data_preprocessor(
        {key: [value] for key, value in run['dataset'][0].items()}, False
    )['inputs']
    report(distiller, tuple(image.shape[2:]))
    terms = parts_of(distiller)
    meta = dict(
        teacher=digest(distiller.frozen[str(next(iter(terms.values())).source)].model),
        data=data_digest(run['dataset']),
        images=len(run['indices']),
        paths={part: term.teacher_paths for part, term in terms.items()},
        pool=run['pool'],
        subclasses=args.subclasses,
        seed=args.seed,
    )
    names = ('iterations', 'components', 'positions')
    settings = dict(meta, templates=run['templates'])
    settings.update({name: getattr(args, name) for name in names})
    work = Work(args.work_dir or out.with_name(f'{out.name}.work'), settings)
    collect(args, work, run)
    result: dict[str, Any] = {'meta': meta}
    stages = {'penultimate': penultimate, 'intermediate': intermediate}
    for part, stage in stages.items():
        if part in terms:
            result[part] = stage(args, work, run['templates'][part])
    out.parent.mkdir(parents=True, exist_ok=True)
    save(result, out, torch)
    if not args.keep:
        shutil.rmtree(work.folder)
    print(f'{out}: {out.stat().st_size / 1e6:.1f} MB')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    from mmkd.launch import short_errors

    with short_errors(RuntimeError):
        make(args)


if __name__ == '__main__':
    main()
