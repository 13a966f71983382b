"""Memory of a step, and the machine that it ran on."""

from __future__ import annotations

import gc
import os
import platform
from typing import Any

import torch

from mmkd.yardstick.clock import Row, Step


def peak_memory(step: Step, data: Any, device: torch.device) -> float | None:
    """The most MiB of tensors that a step holds beyond what is there before it."""
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(data)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(data)
    results = profiler.profiler.kineto_results
    held = peak = 0
    found = [event for event in results.events() if event.name() == '[memory]']
    starts = 'start_ns' if found and hasattr(found[0], 'start_ns') else 'start_us'
    for event in sorted(found, key=lambda event: getattr(event, starts)()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 2**20 if found else None


def machine(device: torch.device) -> Row:
    """On what was measured, and how busy it was with other things."""
    import mmengine

    from mmkd.report.measure import machine as words

    on_cpu = device.type == 'cpu'
    name = 'CPU' if on_cpu and torch.cuda.is_available() else words()
    return dict(
        device=name.replace('one thread of ', ''),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        load=round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None,
        torch=torch.__version__,
        python=platform.python_version(),
        mmengine=mmengine.__version__,
    )


def forget() -> None:
    """Let go of models that nobody uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
