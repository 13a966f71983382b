"""What the command-line tools share: options, checks, short errors, processes."""

from __future__ import annotations

import argparse
import datetime
import difflib
import inspect
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.runner import Runner

from mmkd.arguments import naming
from mmkd.build import read_config
from mmkd.mixin import distill, is_distillation

# What mmcv 1 read at the top of a config and mmengine ignores without a word.
LEGACY = {
    'optimizer': 'optim_wrapper=dict(optimizer=dict(…))',
    'optimizer_config': 'optim_wrapper=dict(clip_grad=…, accumulative_counts=…)',
    'lr_config': 'param_scheduler=[…]',
    'momentum_config': 'param_scheduler=[…]',
    'runner': "train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=…)",
    'total_epochs': "train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=…)",
    'total_iters': "train_cfg=dict(type='IterBasedTrainLoop', max_iters=…)",
    'checkpoint_config': "default_hooks=dict(checkpoint=dict(type='CheckpointHook'))",
    'log_config': "default_hooks=dict(logger=dict(type='LoggerHook')), visualizer=…",
    'evaluation': 'val_evaluator=…, val_cfg=…, train_cfg=dict(val_interval=…)',
    'data': 'train_dataloader=…, val_dataloader=…, test_dataloader=…',
    'workflow': 'train_cfg=dict(val_interval=…)',
    'dist_params': 'env_cfg=dict(dist_cfg=…)',
    'resume_from': 'resume=True with load_from=…, or --resume',
    'fp16': "optim_wrapper=dict(type='AmpOptimWrapper'), or --amp",
}
# What shards a model or takes it apart. The frozen teacher stands outside of the module
# tree, where they do not see it; terms and paths are those of the whole model.
SHARDING = {
    'FSDPStrategy',
    'DeepSpeedStrategy',
    'ColossalAIStrategy',
    'MMFullyShardedDataParallel',
    'MMSeparateDistributedDataParallel',
}
# Where each launcher says: rank, number of processes, rank on this machine.
VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}


# What a user's mistake ends in: wrong values, files, packages, checkpoints.
MISTAKES: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, RuntimeError)

# What mmengine and the packages raise, too, where a config does not fit them.
BUILDING = (KeyError, TypeError, AttributeError, AssertionError)


@contextmanager
def short_errors(*more: type[Exception]) -> Iterator[None]:
    """End on a user's mistake with its message and exit code 2, without a traceback.

    An error that comes out of another one's code is shown with the place.

    Args:
        *more: Kinds that are a user's mistake here, beside ``MISTAKES``.
    """
    try:
        yield
    except (*MISTAKES, *more) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        told = isinstance(cause, MISTAKES) and str(cause) in str(error)
        if not told and cause.__traceback__ is not None:
            *_, last = traceback.extract_tb(cause.__traceback__)
            place = f'{last.filename}:{last.lineno}'
            print(f'  because of {cause!r}, in {place}', file=sys.stderr)
        print(f'mmkd: error: {_text(error)}', file=sys.stderr)
        sys.exit(2)


def _text(error: Exception) -> str:
    """What an error says; mmengine's are KeyErrors and TypeErrors."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return str(said) or repr(error)


def compose(args: argparse.Namespace) -> Config:
    """The config that is named, a distillation if ``--method`` says so, with options.

    Args:
        args: With ``config``, ``method``, ``teacher``, ``teacher_ckpt``, ``kind``,
            ``pair`` and ``cfg_options``, as tools/train.py has them.
    """
    config = read_config(args.config, 'model')
    if args.method:
        teacher = (args.teacher, args.teacher_ckpt)
        config = distill(config, args.method, *teacher, args.kind, args.pair)
        for key in ('teacher', 'teacher_ckpt'):
            if key not in config.model and wants_teacher(config.model):
                option = f'--{key.replace("_", "-")}'
                raise ValueError(f'--method {args.method} needs {option} as well.')
    merge_options(config, args.cfg_options)
    return config


def wants_teacher(model: Mapping[str, Any]) -> bool:
    """Whether a distiller's arguments leave it to the user to give a teacher.

    A method may bring its own or several, or say that there is none: ``teacher=None``.
    """
    one = 'teachers' not in model and model.get('teacher', '') is not None
    return one and model['type'] == 'mmkd.Distiller'


def merge_options(config: Config, pairs: Sequence[str]) -> None:
    """Merge what ``--cfg-options`` got, 'key.key=value', into a config."""
    for pair in pairs:
        key, found, _ = pair.partition('=')
        if not found:
            raise ValueError(f"--cfg-options: '{pair}' is not of the form KEY=VALUE")
        _check_top(key.partition('.')[0], config)
    parser = argparse.ArgumentParser()  # mmengine's reading of values is an action
    parser.add_argument('pairs', nargs='*', action=DictAction, default={})
    options = parser.parse_args(list(pairs)).pairs
    if options:
        with naming(f'--cfg-options {" ".join(pairs)}'):
            config.merge_from_dict(options)


def _check_top(key: str, config: Config) -> None:
    """Raise where a new setting looks like a misspelt one: nobody would read it."""
    known = {*config, *inspect.signature(Runner.__init__).parameters}
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if key not in known | set(LEGACY) and close:
        raise ValueError(
            f"--cfg-options: the config has no '{key}'; did you mean '{close[0]}'?"
        )


def check_legacy(config: Config) -> None:
    """Raise if the config has a key that only mmcv 1 read. An empty value is none."""
    for key, successor in LEGACY.items():
        if not config.get(key) or (key == 'optimizer' and _is_in_use(config)):
            continue
        raise ValueError(
            f"The config has '{key}', a key of mmcv 1 that mmengine ignores. Write "
            f'{successor} instead. If it is a leftover of a base config and nothing is '
            f'lost without it, set it to None: --cfg-options {key}=None'
        )


def _is_in_use(config: Config) -> bool:
    """Whether ``optimizer`` is a mere variable that ``optim_wrapper`` was made of."""
    used = (config.get('optim_wrapper') or {}).get('optimizer')
    if config.get('default_scope') == 'mmseg':  # the variable stays behind in its bases
        return used is not None and 'type' in config.optimizer
    return bool(used == config.optimizer)


def check_sharding(config: Config) -> None:
    """Raise if a distillation is to be trained in shards."""
    if not is_distillation(config):
        return
    strategy = config.get('strategy') or {}
    for place, part in (
        ('strategy', strategy),
        ('strategy.model_wrapper', strategy.get('model_wrapper')),
        ('model_wrapper_cfg', config.get('model_wrapper_cfg')),
    ):
        kind = str((part or {}).get('type', '')).rpartition('.')[2]
        if kind in SHARDING:
            raise ValueError(
                f"{place}=dict(type='{kind}'): a distillation is not trained in "
                'shards, as the frozen teacher stands outside of the model that would '
                'be sharded. Leave it out: DDP is the default. To save memory: '
                "--amp, teacher_options=dict(dtype='float16'), a smaller batch with "
                'optim_wrapper.accumulative_counts, or a recorded teacher.'
            )


def check_files(config: Config) -> None:
    """Raise if a config or a checkpoint file that a run will need is not there."""
    files = {'load_from': config.get('load_from')}
    if is_distillation(config):
        model = config.model
        files['student_ckpt'] = model.get('student_ckpt')
        teachers = dict(model.get('teachers') or {})
        if 'teacher' in model:
            teachers['teacher'] = dict(
                model=model.teacher, ckpt=model.get('teacher_ckpt')
            )
        for name, teacher in teachers.items():
            files[f'checkpoint of the {name}'] = teacher.get('ckpt')
            if isinstance(teacher.get('model'), str):
                read_config(teacher['model'])
        if isinstance(model.get('student'), str):
            read_config(model.student)
    for what, file in files.items():
        if file and file != 'random' and '://' not in file:
            check_file(file, what)


def check_file(file: str, what: str) -> None:
    """Raise if a checkpoint is not there."""
    if not Path(file).expanduser().is_file():
        raise FileNotFoundError(f"{what}: there is no file '{file}'.")


def start_processes(config: Config, launcher: str) -> None:
    """Join the other processes of a distributed run, and make it work without a GPU.

    With GPUs the Runner does this. Without, mmengine would ask CUDA for a device, so
    the process group is made here, over gloo; the Runner takes the one it finds.
    """
    config.launcher = launcher
    if launcher == 'none':
        return
    rank, size, local = _place(launcher)
    os.environ['LOCAL_RANK'] = local  # mmengine forgets it under MPI
    if get_device() != 'cpu':
        return
    os.environ.update(RANK=rank, WORLD_SIZE=size)
    os.environ.setdefault('MASTER_ADDR', _first_host())
    os.environ.setdefault('MASTER_PORT', '29500')
    settings: Mapping[str, Any] = config.get('env_cfg', {}).get('dist_cfg', {})
    seconds = settings.get('timeout', 1800)
    torch.distributed.init_process_group(
        'gloo', timeout=datetime.timedelta(seconds=seconds)
    )
    # By default mmengine names a GPU for the wrapper, which the CPU does not have.
    wrapper = config.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=config.get('find_unused_parameters', False),
    )
    config.model_wrapper_cfg = dict(wrapper, device_ids=None)


def _place(launcher: str) -> tuple[str, str, str]:
    """Rank, number of processes, and rank on this machine."""
    names = VARIABLES[launcher]
    for name in names:
        if name not in os.environ:
            raise ValueError(
                f'--launcher {launcher}: the environment has no {name}. Start it with '
                'tools/dist_train.sh, tools/slurm_train.sh or mpirun, which set it.'
            )
    rank, size, local = (os.environ[name] for name in names)
    return rank, size, local


def _first_host() -> str:
    """The machine of rank 0: the first of a Slurm job, or this one."""
    nodes = os.environ.get('SLURM_NODELIST')
    if not nodes:
        return '127.0.0.1'
    hosts = subprocess.run(
        ['scontrol', 'show', 'hostname', nodes],
        check=True,
        capture_output=True,
        text=True,
    )
    return hosts.stdout.split()[0]
