"""A studio over a run on a fake backbone, asked without a network; and a real one, asked over a socket of this machine."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

import fake_run
from commands import environment
from studio_asgi import Asker

from retrain.config import RunConfig
from retrain.studio.app import Options, make_app
from retrain.studio.guard import LOOPBACK_HOSTS, Access, Guard
from retrain.studio.workshop import config_of

TOKEN = "a-token-of-twenty-six-signs"  # noqa: S105 - of no studio but the tests'


def trained(folder: Path) -> RunConfig:
    """A run folder with twelve photographs of three classes."""
    code = fake_run.run_here(fake_run.prepare(folder))
    assert code == 0
    return config_of(str(folder / "out" / "model.pb"), "")


def untrained(folder: Path) -> RunConfig:
    (folder / "photos").mkdir(parents=True)
    return config_of(str(folder / "out" / "model.pb"), str(folder / "photos"))


def app_of(config: RunConfig, token: str = "", **limits: int) -> Guard:
    app = make_app(config, Access(LOOPBACK_HOSTS, token, **limits), Options())
    assert isinstance(app, Guard)
    return app


def client_of(app: Guard, address: str = "127.0.0.1") -> Asker:
    return Asker(app, address)


def routes_of(app: Guard) -> list[tuple[str, str]]:
    """Method and address of everything that the studio answers."""
    found = []
    for route in app._app.routes:
        methods = getattr(route, "methods", None)
        found += [(method, route.path) for method in sorted(methods or ["GET"]) if method != "HEAD"]
    return found


@contextlib.contextmanager
def serving(app: object, ready_s: float = 20) -> Iterator[tuple[str, int]]:
    """Serve an app from a thread, with the studio's own protocol; gives host and port."""
    import uvicorn

    from retrain.studio import serving as room
    from retrain.studio.patience import PatientProtocol

    taken = room.bind("127.0.0.1", 0)
    config = uvicorn.Config(app, http=PatientProtocol, ws="none", log_level="error", access_log=False,
                            timeout_graceful_shutdown=1, h11_max_incomplete_event_size=room._HEAD_BYTES)  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
    thread.start()
    until = time.monotonic() + ready_s
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield taken.getsockname() if taken.fileno() >= 0 else ("", 0)
    finally:
        server.should_exit = True
        thread.join(20)
        taken.close()
    assert not thread.is_alive()


def raw(address: tuple[str, int], data: bytes, timeout_s: float = 10) -> bytes:
    """Send bytes and read until the other side closes, or says nothing for a while."""
    with socket.create_connection(address, timeout=timeout_s) as line:
        with contextlib.suppress(OSError):
            line.sendall(data)
        return read_all(line)


def read_all(line: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(OSError):
        while piece := line.recv(65_536):
            found += piece
    return found


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)
    return int(found[1]) if found else 0


class Command:
    """``python -m retrain studio`` in a process of its own."""

    def __init__(self, words: Sequence[str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "retrain", "studio", "--port", "0", "--no_browser", *words],
            cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
        )  # fmt: skip
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "is open at" in line:
                break
        found = re.search(r"http://(\S+?):([0-9]+)(/\?token=(\S+))?", self.said)
        assert found, self.said
        self.address = ("127.0.0.1", int(found[2]))
        self.host, self.token = found[1], found[4] or ""

    def ended(self, timeout_s: float = 20) -> int:
        """Wait for it; its exit code. All that it said is in ``said``."""
        self.said += self.process.communicate(timeout=timeout_s)[0]
        return self.process.returncode

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
        return raw(self.address, (head + "Content-Type: application/json\r\n\r\n").encode() + data, 60)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
