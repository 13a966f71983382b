"""The processes of a distributed run, with GPUs and without."""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Mapping
from typing import Any

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device

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
