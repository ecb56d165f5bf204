"""A web server on this machine, and a file that would leave a mark."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


class Harm:
    """Makes a folder as soon as it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder, )


class Server(http.server.SimpleHTTPRequestHandler):
    """Counts what it is asked for; says that `cut...` files are longer than they are."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == 'Content-Length' and 'cut' in self.path:
            value = str(int(value) + 100)
        super().send_header(keyword, value)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder that is served, and its URL; downloads go to a cache of their own, torch.hub's too."""
    monkeypatch.setenv('MMEXT_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    Server.asked.clear()
    (tmp_path / 'web' / 'other').mkdir(parents=True)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Server, directory=tmp_path / 'web')) as (
            server):
        threading.Thread(target=server.serve_forever, args=(0.01, ), daemon=True).start()
        yield tmp_path / 'web', f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
