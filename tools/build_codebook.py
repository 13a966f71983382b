#!/usr/bin/env python3
r"""Make the codebook that letKD's losses read, from a teacher and its training set.

For a distillation, into the file that its terms name:

    python tools/build_codebook.py \
        configs/letkd/letkd_resnet56_resnet20_1xb64_cifar100.py

For an ordinary config and the options that make a distillation of it, into a file
that tools/train.py is told of at the end:

    python tools/build_codebook.py student.py --method letkd --teacher teacher.py \
        --teacher-ckpt teacher.pth

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
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import add_config, check_method, need_mmkd, stem  # noqa: E402

PARTS = {'penultimate': 'LetKDPenultimate', 'intermediate': 'LetKDIntermediate'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_config(parser, "a distillation with letKD's terms, or a teacher's own config")
    add(
        'out',
        nargs='?',
        type=Path,
        help='the file to write (default: the one in the terms, or '
        'codebooks/<config>_<method>.pth)',
    )
    add('--letkd', type=int, choices=(1, 2), default=2, help='1: the last map only')
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
    add = parser.add_argument_group("for a teacher's own config").add_argument
    add('--checkpoint', help="the teacher's weights: --checkpoint teacher.pth")
    add('--penultimate', default='backbone[-1]', help='path of the last map in it')
    add('--intermediate', help='path of an earlier map; without, it is letKD-1')
    add('--templates', type=int, default=4096, help='k-means centres')
    add('--pool', type=int, default=1, help='average-pool the maps by this factor')
    args = parser.parse_intermixed_args(argv)  # OUT may stand behind options
    check_method(parser, args)
    return args


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


def report(student: Any, size: tuple[int, int]) -> None:
    """What the layers cost the student."""
    import torch

    from mmkd.hooks.describe_student import describe, overhead
    from mmkd.report.measure import multiply_adds

    cost = overhead(student, size)
    if not cost['macs']:
        return
    student.backbone.eval()  # some return None
    image = torch.zeros(1, 3, *size, device=next(student.parameters()).device)
    with torch.no_grad():
        plain = multiply_adds(lambda: student.backbone(image)) - cost['macs']
    print(
        f'{describe(cost, size)} The backbone alone needs {plain / 1e6:.1f} M '
        f'(+{cost["macs"] / plain:.0%}).'
    )


def named(config: Config) -> dict[str, Any]:
    """Setting of a term's loss -> the codebook that it names."""
    terms = config.model.get('terms') or {}
    return {
        f'model.terms.{name}.loss.codebook': term.loss.codebook
        for name, term in terms.items()
        if 'codebook' in term.loss
    }


def default_out(config: Config, args: argparse.Namespace) -> Path:
    """Where the config's terms look for the codebook."""
    files = set(named(config).values()) - {None, 'random'}
    if not files and args.method:
        return Path('codebooks') / f'{stem(args)}.pth'
    if len(files) != 1:
        raise ValueError(f'Say which file to write; the terms name {sorted(files)}.')
    return Path(files.pop())


def choose(count: int, wanted: int | None, seed: int) -> list[int]:
    """Which images are taken, in order."""
    import numpy as np

    chosen = np.random.default_rng(seed).permutation(count)[:wanted]
    return list(range(count)) if wanted is None else sorted(chosen.tolist())


def make(args: argparse.Namespace) -> None:
    from mmengine.device import get_device
    from mmengine.registry import DATASETS

    from mmkd.codebook import features, stages
    from mmkd.codebook.work import Work
    from mmkd.fingerprint import data_fingerprint, teacher_fingerprint
    from mmkd.hooks.describe_student import image_of
    from mmkd.launch import compose
    from mmkd.mixin import is_distillation

    config = compose(args)
    device = args.device or get_device()
    out = args.out or default_out(config, args)
    if out.is_file():
        raise ValueError(f"'{out}' is there already: delete it to make it again.")
    distiller = build(args, config).to(device).eval()
    found = features.ratios(distiller)  # of a teacher's own config they are all 1
    if not is_distillation(config):
        given = {'penultimate': args.templates, 'intermediate': 0}
        found = {part: (args.pool, given[part]) for part in found}
    dataset = DATASETS.build(unaugmented(config))
    image = image_of(distiller, dataset)
    report(distiller.student, tuple(image.shape[2:]))
    terms = features.parts_of(distiller)
    teacher = distiller.frozen[str(next(iter(terms.values())).source)].model
    indices = choose(len(dataset), args.images, args.seed)
    ratio = {part: pooled for part, (pooled, _) in found.items()}
    meta = dict(
        teacher=teacher_fingerprint(teacher),
        data=data_fingerprint(dataset),
        images=len(indices),
        paths={part: term.teacher_paths for part, term in terms.items()},
        pool=ratio,
        subclasses=args.subclasses,
        seed=args.seed,
    )
    templates = {part: number for part, (_, number) in found.items()}
    names = ('iterations', 'components', 'positions')
    settings = {name: getattr(args, name) for name in names}
    work = Work(
        args.work_dir or out.with_name(f'{out.name}.work'),
        dict(meta, templates=templates, **settings),
    )
    val = config.get('val_dataloader') or config.get('test_dataloader')
    loader = dict(
        batch_size=args.batch_size or val.batch_size,
        num_workers=args.workers,
        collate_fn=val.get('collate_fn') or dict(type='pseudo_collate'),
    )
    features.collect(work, distiller, dataset, indices, ratio, loader, args.positions)
    recipe = stages.Recipe(
        args.subclasses, args.components, args.iterations, args.seed, device
    )
    made = {
        part: getattr(stages, part)(work, templates[part], recipe)
        for part in PARTS
        if part in templates
    }
    write(dict(made, meta=meta), out)
    new = [f'{key}={out}' for key, file in named(config).items() if file != str(out)]
    if new:
        print('Train with it: tools/train.py … --cfg-options', *new)
    if not args.keep:
        shutil.rmtree(work.folder)


def write(content: dict[str, Any], out: Path) -> None:
    from mmkd.checkpoints.whole import save

    out.parent.mkdir(parents=True, exist_ok=True)
    save(content, out)
    print(f'{out}: {out.stat().st_size / 1e6:.1f} MB')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    from mmkd.launch import short_errors

    with short_errors():
        make(args)


if __name__ == '__main__':
    main()
