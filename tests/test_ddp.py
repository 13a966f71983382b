"""Two processes on the CPU: equal weights, no unused parameters."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
import zoo
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel

# Off, ramping up, off again: DDP must not wait for the connectors' gradients.
SCHEDULE = [
    dict(kind='linear', end=2),
    dict(kind='stop', begin=3),
]


def train(rank: int, world: int, port: int, kind: str, folder: str) -> None:
    """Four steps on one rank; saves what it ends with."""
    import mmkd  # noqa: F401

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=world)
    torch.manual_seed(0)
    terms = {k: dict(t, schedule=SCHEDULE) for k, t in zoo.TERMS[kind].items()}
    distiller = zoo.distiller(kind, terms=terms).train()
    model = MMDistributedDataParallel(distiller, find_unused_parameters=False)
    optimizer = zoo.optimizer(model)
    hub = MessageHub.get_instance(f'ddp_{rank}')
    hub.update_info('max_iters', 4)
    logs: list[Any] = []
    for step in range(4):
        hub.update_info('iter', step)
        log = model.train_step(zoo.batch(kind, seed=10 * step + rank), optimizer)
        logs.append({key: float(value) for key, value in log.items()})
    teacher = [p.detach().clone() for p in distiller.teacher.parameters()]
    result = dict(state=distiller.state_dict(), logs=logs, teacher=teacher)
    torch.save(result, Path(folder) / f'{rank}.pth')
    torch.distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return int(s.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'pspnet'])
def test_two_ranks(kind: str, tmp_path: Path):
    os.environ['PYTHONPATH'] = os.pathsep.join(sys.path)
    mp.spawn(train, (2, free_port(), kind, str(tmp_path)), nprocs=2)
    one, two = (
        torch.load(tmp_path / f'{rank}.pth', weights_only=True) for rank in range(2)
    )
    trained = [k for k in one['state'] if 'running_' not in k and 'num_b' not in k]
    assert any(key.startswith('terms.') for key in trained)
    # Weights agree though data differed; BatchNorm's statistics are each rank's own.
    for key in trained:
        assert torch.equal(one['state'][key], two['state'][key]), key
    assert all(torch.equal(a, b) for a, b in zip(one['teacher'], two['teacher']))
    assert one['logs'] != two['logs']
    for log in one['logs'], two['logs']:
        assert [entry['loss_kd'] > 0 for entry in log] == [False, True, True, False]
