#!/usr/bin/env python3
r"""Record once what a teacher says; train from the recording as often as you like.

    python tools/record_teacher.py configs/demo/cls/student.py recordings/kd --views 8 \
        --method kd --teacher configs/demo/cls/teacher.py \
        --teacher-ckpt demo_runs/seed0/cls/teacher/epoch_40.pth
    python tools/train.py recordings/kd/student_kd_recorded.py

The first runs the teacher of a distillation on so many augmented views of every image,
and writes what the terms tap. The second config, which it writes too, is the first with
these views instead of ever new ones and the recording instead of the teacher. Stopped,
the same command goes on. See docs/free_teacher.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import add_config, check_method, need_mmkd, stem  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config(parser, 'a distillation, for classification')
    parser.add_argument('out', type=Path, help='the folder of the recording')
    parser.add_argument(
        '--views',
        type=int,
        help='views of every image; in epoch e comes view e modulo this: --views 8 '
        '(default: those of the config, or 1)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the views')
    parser.add_argument(
        '--dtype', choices=('float32', 'float16'), default='float32', help='on disk'
    )
    parser.add_argument(
        '--top-k',
        type=int,
        help='of logits keep the largest, and one number for the rest: --top-k 32',
    )
    parser.add_argument('--which', help='which teacher, if the config has several')
    parser.add_argument(
        '--max-gb', type=float, default=50, help='refuse what is larger: --max-gb 200'
    )
    parser.add_argument(
        '--batch-size', type=int, help='default: that of the training set'
    )
    parser.add_argument(
        '--workers', type=int, help='default: those of the training set'
    )
    parser.add_argument('--device', help="'cpu' or 'cuda'; default: what there is")
    args = parser.parse_args(argv)
    check_method(parser, args)
    return args


def choose(config: Config, wanted: str | None) -> str:
    """The teacher that is meant."""
    if not {'teacher_ckpt', 'teachers'} & set(config.model):
        raise ValueError('The config has no teacher that is trained already.')
    names = list(config.model.get('teachers') or ['teacher'])
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted not in names:
        raise ValueError(f'--which {wanted}: the config has {names}. Choose one.')
    return wanted


def with_views(config: Config, args: argparse.Namespace) -> tuple[int, int]:
    """How many views there are to be, and their seed."""
    dataset = config.train_dataloader.dataset
    if dataset.get('type') != 'mmkd.ReplayedViews':
        return args.views or 1, args.seed
    if args.views not in (None, dataset.views):
        raise ValueError(
            f'--views {args.views}: the config has {dataset.views}. Change it there.'
        )
    return dataset.views, dataset.get('seed', 0)


def build(config: Config) -> Any:
    """The distiller, with teachers as they are: not cheap."""
    from mmkd.mixin import is_distillation
    from mmkd.registry import MODELS

    if not is_distillation(config):
        raise ValueError(
            'The config is no distillation. Make it one: --method kd --teacher … '
            '--teacher-ckpt …'
        )
    model = config.model.to_dict()
    model.pop('teacher_options', None)
    for teacher in (model.get('teachers') or {}).values():
        teacher.pop('options', None)
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
    return MODELS.build(model)


def make(args: argparse.Namespace, command: str) -> None:
    from mmengine.device import get_device
    from mmengine.registry import DATASETS, init_default_scope

    from mmkd.checks import check_files
    from mmkd.launch import compose
    from mmkd.mixin import register
    from mmkd.recording.recorder import Recital, record
    from mmkd.recording.views import replayed

    folder = args.out.expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'{args.out}' is a file: give a folder.")
    config = compose(args)
    check_files(config)
    init_default_scope(config.get('default_scope') or 'mmengine')
    views, seed = with_views(config, args)
    distiller = build(config).to(args.device or get_device())
    name = choose(config, args.which)
    replayed(config, str(folder), name, views, seed)
    register(config)
    trains = f'{stem(args)}_recorded.py'
    loader = config.train_dataloader
    recital = Recital(
        distiller,
        name,
        DATASETS.build(loader.dataset),
        folder,
        command=command,
        config=trains,
        dtype=args.dtype,
        top_k=args.top_k,
        batch=args.batch_size or loader.batch_size,
    )
    size = recital.gigabytes
    print(
        f'{recital.rows} views ({views} of each image), {recital.paths}: {size:.3g} GB'
    )
    if size > args.max_gb:
        raise ValueError(
            f'That is more than --max-gb {args.max_gb:g}. Record fewer --views, '
            '--dtype float16, --top-k 32, or vectors instead of maps.'
        )
    workers = loader.get('num_workers', 0) if args.workers is None else args.workers
    settings = dict(num_workers=workers)
    if loader.get('collate_fn') is not None:
        settings['collate_fn'] = loader.collate_fn
    record(recital, settings)
    config.dump(folder / trains)
    print(f'Train from it: tools/train.py {args.out / trains}')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    typed = sys.argv[1:] if argv is None else argv
    from mmkd.launch import short_errors

    with short_errors():
        make(args, f'python tools/record_teacher.py {shlex.join(typed)}')


if __name__ == '__main__':
    main()
