"""The environment that 'make' prepares: what is chosen before anything is installed."""

from __future__ import annotations

import shutil
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / 'tools'
sys.path.insert(0, str(TOOLS))
import setup_env  # noqa: E402

PYTHON = f'cp{sys.version_info.major}{sys.version_info.minor}'
Usage = namedtuple('Usage', 'total used free')


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One like PyTorch's, with torch 2.5.1 and torchvision 0.20.1 for CPUs."""
    (tmp_path / 'portal').mkdir()
    (tmp_path / 'portal/index.html').write_bytes(b'<h1>Caf\xe9: log in</h1>')
    for name, version in (('torch', '2.5.1'), ('torchvision', '0.20.1')):
        wheel = f'{name}-{version}%2Bcpu-{PYTHON}-{PYTHON}-linux_x86_64.whl'
        (tmp_path / name).mkdir()
        (tmp_path / name / 'index.html').write_text(
            f'<a href="/whl/cpu/{wheel}#sha256=0">{wheel.replace("%2B", "+")}</a>'
        )
    monkeypatch.setattr(setup_env.platform, 'system', lambda: 'Linux')
    monkeypatch.setattr(setup_env.platform, 'machine', lambda: 'x86_64')
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.mark.parametrize(
    'pins, chosen',
    [
        (
            ['torch==2.5.1', 'torchvision==0.20.1'],
            ['torch==2.5.1+cpu', 'torchvision==0.20.1+cpu'],
        ),
        (['torch==2.5.1', 'torchvision==0.20'], []),  # half a pair does not work
        (['torch==2.5', 'torchvision==0.20.1'], []),
        (['torch==2.5.1', 'torchaudio==2.5.1'], []),  # no such page
        (['portal==2.5.1'], []),  # not that page
    ],
)
def test_builds_without_cuda(index: str, pins: list[str], chosen: list[str]) -> None:
    assert setup_env.without_cuda(pins, index) == chosen


def test_without_a_network_the_usual_index_is_used(index: str) -> None:
    assert setup_env.without_cuda(['torch==2.5.1'], 'http://127.0.0.1:1') == []


def test_macs_have_them_in_the_usual_index(
    index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_env.platform, 'system', lambda: 'Darwin')
    assert setup_env.without_cuda(['torch==2.5.1'], index) == []


@pytest.mark.parametrize(
    'free, cuda, complaint',
    [
        (9.1, True, None),
        (8.9, True, '9 GB'),
        (2.6, False, None),
        (2.4, False, '2.5 GB'),
    ],
)
def test_a_full_disk_is_told_before(
    free: float,
    cuda: bool,
    complaint: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The downloads and the environment are on one disk here."""
    usage = Usage(0, 0, int(free * 1e9))
    monkeypatch.setattr(setup_env.shutil, 'disk_usage', lambda place: usage)
    monkeypatch.setattr(setup_env.tempfile, 'gettempdir', lambda: str(tmp_path))
    if complaint is None:
        setup_env.check_space(tmp_path, cuda)
        return
    with pytest.raises(SystemExit, match=f'{complaint} are needed.*VENV=.*TMPDIR='):
        setup_env.check_space(tmp_path, cuda)
    (tmp_path / 'lib/python3.11/site-packages/torch').mkdir(parents=True)
    setup_env.check_space(tmp_path, cuda)  # it is installed already


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Set up an environment of nothing; whether each call found a GPU."""
    calls = []

    def prepare(args: object, pins: object, dev: object, gpu: bool) -> None:
        calls.append(gpu)
        python = tmp_path / 'venv/bin/python'
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(setup_env, 'prepare', prepare)
    arguments = ['--venv', str(tmp_path / 'venv'), '--cache', str(tmp_path / 'cache')]
    monkeypatch.setattr(sys, 'argv', ['setup_env.py', *arguments])
    return calls


def test_an_environment_is_made_once_and_anew_for_a_gpu(
    prepared: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / 'venv/torch_without_cuda'
    for gpu in (False, False, True, True, False):
        monkeypatch.setattr(setup_env, 'gpu_is_here', lambda gpu=gpu: gpu)
        setup_env.main()
        if prepared == [False]:
            left.touch()
    assert prepared == [False, True] and not left.exists()


def test_another_process_waits_for_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = []

    def second() -> None:
        with setup_env.lock(tmp_path / 'locks/a'):
            order.append('second')

    with setup_env.lock(tmp_path / 'locks/a'):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append('first')
    thread.join(5)
    assert order == ['first', 'second'] and 'waiting' in capsys.readouterr().out


@pytest.mark.parametrize(
    'line, state',
    [
        ('[19/76] g++ -c a.cpp', 'compiling [######...................] 19/76 files'),
        (
            '  Downloading https://a/torch-2.5.1.whl (906.4 MB)',
            'fetching torch-2.5.1.whl (906.4 MB)',
        ),
        ('Installing collected packages: torch', 'installing'),
        ('Collecting torch', ''),
    ],
)
def test_progress_is_read(line: str, state: str) -> None:
    assert setup_env.read_state(line) == state


def test_a_build_that_fails_leaves_no_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a folder where one would be looked for; and the log is named."""
    monkeypatch.setattr(setup_env, 'newer_compiler', lambda *args: None)
    false = Path(shutil.which('false') or '/bin/false')
    with pytest.raises(SystemExit, match=f'whole log: {tmp_path}/mmcv.log'):
        setup_env.compile_mmcv(false, 'mmcv==2.1.0', tmp_path / 'mmcv', 1, 'cpu')
    assert not (tmp_path / 'mmcv').exists()
