#!/usr/bin/env python3
r"""Train a config.

One that distils, one that does not, or one that does not and is told to by --method:

    python tools/train.py configs/demo/kd.py
    python tools/train.py my_config.py --method cwd \
        --teacher my_teacher.py --teacher-ckpt my_teacher.pth
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

METHODS = Path(__file__).resolve().parent.parent / 'configs' / '_base_' / 'methods'


def methods() -> list[str]:
    """As ``mmkd.mixin.list_methods``, without the seconds that importing it takes."""
    return sorted(file.stem for file in METHODS.glob('[a-z]*.py'))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f'Methods: {", ".join(methods())}.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'config',
        help="a config file, or one of an installed package: 'mmdet::retinanet/"
        "retinanet_r50_fpn_1x_coco.py'",
    )
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go (default: work_dir of the config, or '
        './work_dirs/<config>[_<method>])',
    )
    mixin = parser.add_argument_group('distil a config that does not say so itself')
    mixin.add_argument(
        '--method',
        help="one of the methods below, or a file with 'terms': --method cwd, "
        '--method my_terms.py',
    )
    mixin.add_argument(
        '--teacher',
        help='the config of the teacher: --teacher my_teacher.py, or '
        "'mmdet::retinanet/retinanet_r101_fpn_1x_coco.py'",
    )
    mixin.add_argument(
        '--teacher-ckpt',
        help="the teacher's weights: a file or an address (or 'random', in a trial): "
        '--teacher-ckpt my_teacher.pth',
    )
    mixin.add_argument(
        '--kind',
        choices=('cls', 'cifar', 'two_stage', 'one_stage', 'seg'),
        help="which form of the method, if not the one that the config's model and "
        'data ask for: --kind cls',
    )
    mixin.add_argument(
        '--pair',
        help='a teacher and a student for which the paper tunes numbers of its own, as '
        "the method's file lists them: --pair resnet32x4_resnet8x4",
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
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='change settings of the config (after --method): --cfg-options '
        'train_cfg.max_epochs=2 model.terms.loss_kd.weight=2 key="[a,b]"',
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
    for option in ('teacher', 'teacher_ckpt', 'kind', 'pair'):
        if getattr(args, option) and not args.method:
            name = option.replace('_', '-')
            parser.error(f'--{name} needs --method as well, as in --method kd')
    return args


def configure(args: argparse.Namespace) -> Config:
    """The config of the run; in the order of mmdet's tool, --method first."""
    from mmkd.build import read_config
    from mmkd.checks import check_files, check_legacy, check_sharding
    from mmkd.launch import merge_options
    from mmkd.mixin import is_distillation, register

    config = read_config(args.config, 'model')
    if args.method:
        config = mix_in(config, args)
    merge_options(config, args.cfg_options)
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


def mix_in(config: Config, args: argparse.Namespace) -> Config:
    from mmkd.mixin import distill

    teacher = (args.teacher, args.teacher_ckpt)
    config = distill(config, args.method, *teacher, args.kind, args.pair)
    model = config.model
    if model.type == 'mmkd.Distiller' and 'teachers' not in model:
        for key in ('teacher', 'teacher_ckpt'):
            if key not in model and model.get('teacher', '') is not None:
                option = f'--{key.replace("_", "-")}'
                raise ValueError(f'--method {args.method} needs {option} as well.')
    return config


def set_work_dir(config: Config, args: argparse.Namespace) -> None:
    """From the command line, or the config, or after the names of config and method."""
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        stem = Path(args.config.rpartition('::')[2]).stem
        method = f'_{Path(args.method).stem}' if args.method else ''
        config.work_dir = f'./work_dirs/{stem}{method}'


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
