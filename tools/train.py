#!/usr/bin/env python3
r"""Train a config.

One that distils, one that does not, or one that does not and is told to by --method.
After "make demo" there are data for these:

    python tools/train.py configs/demo/cls/student.py
    python tools/train.py configs/demo/cls/student.py --method cwd \
        --teacher configs/demo/cls/teacher.py \
        --teacher-ckpt demo_runs/seed0/cls/teacher/epoch_40.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import add_config, check_method, need_mmkd, stem  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config(parser, 'what to train')
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go (default: work_dir of the config, or '
        './work_dirs/<config>[_<method>])',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on: from the latest checkpoint in the work dir (--resume), or from '
        'the one given (--resume work_dirs/x/epoch_3.pth)',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision; needs a GPU: --amp',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size, from the base_batch_size of '
        'the config: --auto-scale-lr',
    )
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none',
        help='who started the processes; tools/dist_train.sh gives: --launcher pytorch',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS
    )
    args = parser.parse_args(argv)
    check_method(parser, args)
    return args


def configure(args: argparse.Namespace) -> Config:
    """The config of the run; in the order of mmdet's tool, --method first."""
    from mmkd.checks import check_files, check_legacy, check_sharding
    from mmkd.launch import compose
    from mmkd.mixin import is_distillation, register

    config = compose(args)
    check_legacy(config)
    check_sharding(config)
    set_work_dir(config, args)
    if args.amp:
        set_amp(config)
    if args.auto_scale_lr:
        set_auto_scale_lr(config)
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    if config.get('default_scope') == 'mmpretrain':
        set_dataloader_defaults(config)
    if is_distillation(config):
        register(config)
    check_files(config)
    return config


def set_work_dir(config: Config, args: argparse.Namespace) -> None:
    """From the command line, or the config, or after the names of config and method."""
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = f'./work_dirs/{stem(args)}'


def set_amp(config: Config) -> None:
    from mmengine.device import get_device

    if get_device() == 'cpu':
        raise ValueError('--amp: mixed precision needs a GPU, and there is none here.')
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_auto_scale_lr(config: Config) -> None:
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise ValueError(
            '--auto-scale-lr: the config does not say for which batch size its '
            'learning rate is meant. Add auto_scale_lr=dict(base_batch_size=16), or '
            'whatever it is.'
        )
    config.auto_scale_lr.enable = True


def set_dataloader_defaults(config: Config) -> None:
    """What mmpretrain's own tool adds, and its configs count on."""
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = config.get(key)
        if loader:
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', True)
            loader.setdefault('persistent_workers', loader.get('num_workers', 0) > 0)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    from mmkd.build import build_runner
    from mmkd.launch import BUILDING, short_errors
    from mmkd.processes import start_processes

    with short_errors(*BUILDING):
        config = configure(args)
        start_processes(config, args.launcher)
        runner = build_runner(config)
        if runner.train_loop is None:
            raise ValueError(f"The config '{args.config}' has no train_cfg.")
    runner.train()


if __name__ == '__main__':
    main()
