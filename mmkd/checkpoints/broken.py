"""Weights that are not finite: found, by name, and neither saved nor loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

SLOWER = 'a smaller learning rate, a warm-up, or optim_wrapper.clip_grad'


def statistics(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The running statistics of a model's norms, by name."""
    for name, module in model.named_modules():
        if getattr(module, 'track_running_stats', False):
            yield from module.named_buffers(name, recurse=False)


def broken_weights(model: nn.Module, running: bool = True) -> list[str]:
    """Names of parameters that are not finite.

    Args:
        model: A distiller, or any other.
        running: Look at running statistics as well. (Other buffers may hold anything.)
    """
    held = [*model.named_parameters(), *(statistics(model) if running else ())]
    return [name for name, value in held if not value.isfinite().all()]


def broken_teachers(model: nn.Module) -> list[str]:
    """Likewise of a distiller's frozen teachers, which are no part of its weights."""
    return [
        f'{name}: {weight}'
        for name, frozen in getattr(model, 'frozen', {}).items()
        for weight in broken_weights(frozen.model)
    ]


def check_weights(model: Any) -> None:
    """Raise, on all ranks, if a distiller is to be saved and cannot be used any more.

    Args:
        model: The distiller. Any other model is left alone.
    """
    choice = getattr(getattr(model, 'guard', None), 'choice', None)
    if choice not in ('stop', 'skip'):
        return
    broken = broken_weights(model)
    found = torch.tensor(float(bool(broken)))
    all_reduce(found, op='max')
    if found:
        raise FloatingPointError(
            'Nothing is saved, since weights are not finite: '
            f'{first_of(broken) or "those of another process"}. The gradient of this '
            'step or an earlier one did that. Go on from an earlier checkpoint, with '
            f'{SLOWER}.'
        )


def first_of(names: Sequence[str]) -> str:
    """Some names in words: the first four, and how many more there are."""
    more = f' and {len(names) - 4} more' if len(names) > 4 else ''
    return ', '.join(names[:4]) + more
