"""Random generators: left as they were, or seeded for one step or one image."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def own_randomness() -> Iterator[None]:
    """Leave the random state as it was, so that a student alone would draw the same."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def seed_all(*numbers: int) -> None:
    """Seed Python, NumPy and torch from numbers that belong together."""
    words = np.random.SeedSequence(numbers)
    python, numpy, torch_seed = (int(x) for x in words.generate_state(3))
    random.seed(python)
    np.random.seed(numpy)
    torch.manual_seed(torch_seed)


def seed_item(seed: int, view: int, index: int) -> None:
    """Seed the generators of this process; those of GPUs are left alone.

    The numbers are mixed as in splitmix64: this runs for every image.
    """
    x = seed * 0x9E3779B97F4A7C15 + view * 0xBF58476D1CE4E5B9 + index
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x &= 0xFFFFFFFFFFFFFFFF
        x = (x ^ x >> shift) * factor
    x &= 0xFFFFFFFFFFFFFFFF
    random.seed(x)
    np.random.seed(x & 0xFFFFFFFF)
    torch.default_generator.manual_seed(x >> 32)
