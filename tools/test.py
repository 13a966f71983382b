#!/usr/bin/env python3
r"""Evaluate a checkpoint.

Of a distillation the plain student is tested, without a teacher, be it from the
distiller's checkpoint or from the exported file. "make demo" makes these:

    python tools/test.py configs/demo/cls/student.py \
        demo_runs/seed0/cls/cwt/epoch_20.pth
    python tools/test.py configs/demo/cls/student.py \
        demo_runs/seed0/cls/cwt/student_last.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import need_mmkd  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config',
        help='the config that was trained, the one in its work dir, or the plain '
        "student's; a file or 'mmdet::…'",
    )
    parser.add_argument(
        'checkpoint', help="a distiller's checkpoint, or an exported student"
    )
    parser.add_argument(
        '--work-dir',
        help='where logs go (default: work_dir of the config, or ./work_dirs/<config>)',
    )
    parser.add_argument(
        '--out', help='a pickle file for the predictions: --out result.pkl'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation, by tta_model and tta_pipeline of the config',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='change settings: --cfg-options test_dataloader.batch_size=4',
    )
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none',
        help='who started the processes; tools/dist_test.sh gives: --launcher pytorch',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS
    )
    args = parser.parse_args(argv)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f"--out '{args.out}': its name must end in .pkl or .pickle")
    return args


def configure(args: argparse.Namespace) -> Config:
    """The config of the run: the student's, with everything that tests it."""
    from mmkd.build import read_config
    from mmkd.checks import check_file
    from mmkd.launch import merge_options
    from mmkd.mixin import plain

    config = read_config(args.config, 'model')
    merge_options(config, args.cfg_options)
    if '://' not in args.checkpoint:
        check_file(args.checkpoint, 'checkpoint')
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = f'./work_dirs/{Path(args.config.rpartition("::")[2]).stem}'
    config = plain(config)
    config.load_from, config.resume = None, False  # the tool loads, strictly
    if args.tta:
        set_tta(config)
    return config


def set_tta(config: Config) -> None:
    for key in ('tta_model', 'tta_pipeline'):
        if key not in config:
            raise ValueError(f'--tta: the config has no {key}.')
    config.model = dict(config.tta_model, module=config.model)
    dataset = config.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = config.tta_pipeline


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    from mmengine.registry import METRICS

    from mmkd.build import build_runner
    from mmkd.checkpoints.read import read_weights
    from mmkd.hooks.export_student import load_strictly
    from mmkd.launch import BUILDING, short_errors
    from mmkd.processes import start_processes

    with short_errors(*BUILDING):
        config = configure(args)
        start_processes(config, args.launcher)
        weights = read_weights(args.checkpoint)
        runner = build_runner(config)
        model = runner.model
        while hasattr(model, 'module'):  # inside DDP, inside test-time augmentation
            model = model.module
        load_strictly(model, weights, args.checkpoint)
    if args.out:
        scope = config.get('default_scope')
        kind = 'mmdet.DumpDetResults' if scope == 'mmdet' else 'DumpResults'
        dump = METRICS.build(dict(type=kind, out_file_path=args.out))
        runner.test_evaluator.metrics.append(dump)
    runner.test()


if __name__ == '__main__':
    main()
