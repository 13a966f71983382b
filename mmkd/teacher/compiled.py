"""The parts of a frozen model between its taps, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn


def compile_parts(
    model: nn.Module, tapped: set[str], settings: Mapping[str, Any]
) -> None:
    """Compile the largest parts that have nothing tapped inside.

    A tap inside would end the graph, and start another one in every step.
    """

    def visit(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            path = prefix + name
            inside = any(other.startswith(f'{path}.') for other in tapped)
            if inside or isinstance(child, (nn.ModuleList, nn.ModuleDict)):
                visit(child, f'{path}.')
            elif any(True for _ in child.children()):
                own: Any = _with_own_code(child.forward, path)
                child.forward = torch.compile(own, **settings)  # type: ignore

    visit(model, '')


def _with_own_code(forward: Callable[..., Any], path: str) -> Callable[..., Any]:
    """The same function; ``torch.compile`` knows functions by their code.

    It gives up on code that it compiled eight times, and all Sequentials share theirs.
    """

    def part(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    part.__code__ = part.__code__.replace(co_name=path.replace('.', '_'))
    return part
