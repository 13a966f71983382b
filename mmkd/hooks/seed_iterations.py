"""SeedIterations: randomness that a stopped and resumed run repeats exactly."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class SeedIterations(Hook):  # type: ignore[misc]
    """Seed every generator from (seed, iteration, rank) before each training step.

    mmengine does not save the state of random generators. Dropout and the sampling of
    regions in a detector would go on differently after a resume; so they are the same.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed Python, NumPy and torch."""
        seed_all(runner.seed or 0, runner.iter, get_rank())


def seed_all(*numbers: int) -> None:
    """Seed Python, NumPy and torch from numbers that belong together."""
    words = np.random.SeedSequence(numbers)
    python, numpy, torch_seed = (int(x) for x in words.generate_state(3))
    random.seed(python)
    np.random.seed(numpy)
    torch.manual_seed(torch_seed)
