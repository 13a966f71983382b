"""What a network costs: parameters, multiply-adds, and time on this machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Data = dict[str, Any]
PASSES = 15


@dataclass(frozen=True)
class Cost:
    """One network's cost.

    Args:
        parameters: Learned numbers.
        macs: Multiply-adds of convolutions and matrix products for one image.
        latency: Median seconds of a prediction for one image; None if not measured.
        passes: How many predictions were timed.
    """

    parameters: int
    macs: int | None = None
    latency: float | None = None
    passes: int = 0


def count_parameters(model: nn.Module) -> int:
    """Learned numbers; frozen ones too, for they are there when it is used."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def count_macs(model: nn.Module, data: Data) -> int:
    """Multiply-adds of a forward without post-processing, on a preprocessed batch.

    Convolutions and matrix products are counted, as they run; normalisation,
    activations and special operators (RoIAlign, deformable convolutions) are not.
    """
    inputs, samples = data['inputs'], data.get('data_samples')
    return multiply_adds(lambda: model(inputs, samples, mode='tensor')) // len(inputs)


def multiply_adds(run: Callable[[], object]) -> int:
    """Those of the convolutions and matrix products in what runs."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


@torch.no_grad()
def time_models(
    models: Mapping[str, nn.Module], batches: Mapping[str, Data], seconds: float
) -> dict[str, tuple[float, int]]:
    """Median seconds of a prediction, and the number of predictions it is from.

    The networks take turns, so that a busy moment of the machine meets all of them. On
    a CPU they have one thread, whose speed depends least on what else is running.

    Args:
        models: Networks in eval mode.
        batches: For each of them one preprocessed image.
        seconds: Stop after so long; every network is timed once at least.
    """
    times: dict[str, list[float]] = {name: [] for name in models}
    stop = time.monotonic() + seconds
    turns, threads = 0, torch.get_num_threads()
    torch.set_num_threads(1)
    while turns < PASSES + 2:
        for name, model in models.items():
            start = time.perf_counter()
            model(**batches[name], mode='predict')
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
        turns += 1
        if time.monotonic() > stop:
            break
    torch.set_num_threads(threads)
    warm = min(2, turns - 1)  # the first ones allocate memory
    return {n: (statistics.median(t[warm:]), len(t) - warm) for n, t in times.items()}


def machine() -> str:
    """This machine in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.is_file():
        lines = [x for x in info.read_text().splitlines() if x.startswith('model name')]
        name = lines[0].partition(':')[2].strip() if lines else name
    return f'one thread of {name}'
