"""Chromium without a window, by its DevTools protocol, with the standard library."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless Chromium.

    Args:
        folder: Where its profile goes.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self.port = _free_port()
        options = (
            '--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage '
            '--hide-scrollbars --no-first-run --disable-extensions '
            f'--remote-debugging-port={self.port} --user-data-dir={folder}/profile'
        )
        self.process = subprocess.Popen(
            [CHROMIUM, *options.split(), 'about:blank'],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.number = 0
        self.errors: list[str] = []

    def __enter__(self) -> Browser:
        self.socket = _connect(self._page())
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait()

    def _page(self) -> str:
        """The address of the page's socket, as soon as there is one."""
        stop = time.monotonic() + 60
        while time.monotonic() < stop:
            try:
                address = f'http://127.0.0.1:{self.port}/json'
                with urllib.request.urlopen(address, timeout=5) as reply:
                    pages = [p for p in json.load(reply) if p['type'] == 'page']
                if pages:
                    return str(pages[0]['webSocketDebuggerUrl'])
            except OSError:
                time.sleep(0.2)
        raise TimeoutError('Chromium did not start')

    def open(self, file: Path, width: int = 1440, scheme: str = 'light') -> None:
        """Show a file at a width, in light or in dark."""
        metrics = dict(width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setDeviceMetricsOverride', **metrics)
        feature = dict(name='prefers-color-scheme', value=scheme)
        self.call('Emulation.setEmulatedMedia', features=[feature])
        self.call('Page.navigate', url=file.resolve().as_uri())
        stop = time.monotonic() + 60
        while self.ask('document.readyState') != 'complete':
            assert time.monotonic() < stop, 'the page does not load'
            time.sleep(0.1)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        reply = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in reply, reply
        return reply['result'].get('value')

    def picture(self, file: Path, clip: dict[str, float] | None = None) -> None:
        """Save the whole page, or a part of it, as PNG."""
        height = self.ask('document.documentElement.scrollHeight')
        width = self.ask('innerWidth')
        clip = clip or dict(x=0, y=0, width=width, height=min(height, 12000))
        settings = dict(captureBeyondViewport=True, clip=dict(clip, scale=1))
        data = self.call('Page.captureScreenshot', format='png', **settings)['data']
        file.write_bytes(base64.b64decode(data))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method; what the page complains of meanwhile is kept."""
        self.number += 1
        message = dict(id=self.number, method=method, params=params)
        _send(self.socket, json.dumps(message).encode())
        while True:
            reply = json.loads(_receive(self.socket))
            self._keep(reply)
            if reply.get('id') == self.number:
                assert 'error' not in reply, reply
                return dict(reply['result'])

    def _keep(self, event: dict[str, Any]) -> None:
        method, params = event.get('method'), event.get('params', {})
        if method == 'Runtime.exceptionThrown':
            self.errors.append(str(params['exceptionDetails']))
        if method == 'Runtime.consoleAPICalled' and params['type'] in (
            'error',
            'warning',
        ):
            self.errors.append(str(params['args']))
        if method == 'Log.entryAdded' and params['entry']['level'] != 'info':
            self.errors.append(params['entry']['text'])
        if method == 'Network.requestWillBeSent':
            url = params['request']['url']
            if not url.startswith(('file:', 'data:')):
                self.errors.append(f'asks for {url}')


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return int(s.getsockname()[1])


def _connect(url: str) -> socket.socket:
    """The opening of a WebSocket (RFC 6455)."""
    host, _, path = url.removeprefix('ws://').partition('/')
    name, _, port = host.partition(':')
    connection = socket.create_connection((name, int(port)), timeout=60)
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f'GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n'
        f'Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n'
        'Sec-WebSocket-Version: 13\r\n\r\n'
    )
    connection.sendall(head.encode())
    answer = b''
    while not answer.endswith(b'\r\n\r\n'):
        answer += connection.recv(1)
    assert b' 101 ' in answer, answer
    return connection


def _send(connection: socket.socket, text: bytes) -> None:
    """One masked text frame."""
    size = len(text)
    if size < 126:
        head = struct.pack('!BB', 0x81, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack('!BBH', 0x81, 0xFE, size)
    else:
        head = struct.pack('!BBQ', 0x81, 0xFF, size)
    connection.sendall(head + bytes(4) + text)  # a mask of zeros changes nothing


def _receive(connection: socket.socket) -> bytes:
    """One message, of one or more frames."""
    whole = b''
    while True:
        first, size = _read(connection, 2)
        size &= 0x7F
        if size == 126:
            size = int.from_bytes(_read(connection, 2), 'big')
        elif size == 127:
            size = int.from_bytes(_read(connection, 8), 'big')
        whole += _read(connection, size)
        if first & 0x80:
            return whole


def _read(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError('Chromium went away')
        data += part
    return bytes(data)
