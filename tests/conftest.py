"""Every test starts from the same seed and leaves no global state behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope

import mmkd  # noqa: F401  (registers everything)

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def clean_state() -> Iterator[None]:
    """One thread, one seed, and a message hub that belongs to the test."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    MessageHub.get_instance(f'test_{id(object())}')
    yield
    MessageHub._instance_dict.clear()
    DefaultScope._instance_dict.clear()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few hundred kB, if this machine lets us mount one."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=700k', 'tmpfs', str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        pytest.skip('mounting a small disk needs a right that we do not have')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=False)
