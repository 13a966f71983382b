"""Frozen: a model that teaches and never learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Frozen:
    """Holds a model outside the module tree of its owner.

    So it is in no ``parameters()``, ``state_dict()``, optimizer, DDP bucket or EMA
    copy, and ``train()`` does not reach it. Copies of the owner share it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval().requires_grad_(False)

    def __deepcopy__(self, _: dict[int, Any]) -> Frozen:
        return self

    def apply(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Follow the owner to another device or dtype."""
        self.model._apply(function)  # type: ignore[no-untyped-call]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model."""
        return self.model(*args, **kwargs)
