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
import harness  # noqa: E402

# What is asked of every method.
OF_METHODS = ('test_numbers', 'test_matrix', 'test_learning')


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--method', help='all tests of one method: kd, and these alone')


def pytest_configure(config: pytest.Config) -> None:
    harness.ONLY = config.getoption('method')


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files that have no test of the method."""
    method, name = config.getoption('method'), collection_path.stem
    if method is None or not name.startswith('test_'):
        return None
    return name not in (*OF_METHODS, f'test_{method}') or None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Keep the tests of one method; ids begin with its name: 'kd-cls'."""
    method = config.getoption('method')
    if method is None:
        return
    own = (f'test_{method}.py::', f'[{method}-', f'[{method}]')
    items[:] = [item for item in items if any(part in item.nodeid for part in own)]


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
