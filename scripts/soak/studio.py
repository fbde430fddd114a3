"""R16: the studio asked ten times a second for an hour, hostile requests among them, and 10,000 fuzzed ones before."""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

GOALS = ("R16",)
MINUTES = 60.0
ABOUT_MINUTES = 70
FUZZED, A_SECOND = 10_000, 10
GROWTH = 0.05
# Of the time, after which memory is taken for settled.
_WARM_UP = 0.2
_LISTENERS, _DAWDLERS = 4, 8


def run(place: Path, seed: int, tell: Callable[[str], None], minutes: float = MINUTES) -> dict[str, Any]:
    """Ask a studio over a run on a fake backbone, in a process of its own.

    Args:
        place: where to work.
        seed: of all requests.
        tell: told how far it is.
        minutes: of the steady part.

    Returns:
        Figures by name.

    Raises:
        AssertionError: a goal is missed.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "studio"))
    rooms, fuzz = import_module("studio_rooms"), import_module("studio_fuzz")
    folder = place / f"seed-{seed}-{time.time_ns()}"
    routes = rooms.routes_of(rooms.app_of(rooms.trained(folder)))
    with rooms.Command(["--graph", str(folder / "out" / "model.pb")], folder) as studio:
        drained = threading.Thread(target=_drain, args=(studio,), daemon=True)
        drained.start()
        asker = _Asker(studio.address, fuzz.Hostile(routes, seed))
        _fuzz(asker, tell)
        asker.drop("/studio/upload")  # the folder stays of one size, and so what is known of it
        with _Company(studio.address):
            figures = _steadily(asker, studio.process.pid, minutes, random.Random(seed), fuzz.picture(), tell)
        if studio.process.poll() is not None:
            raise AssertionError(f"the studio ended with {studio.process.returncode}: {studio.said[-2000:]}")
    if "Traceback" in studio.said:
        raise AssertionError(f"it said: {studio.said[-4000:]}")
    return figures | {"fuzzed": FUZZED}


class _Asker:
    """Sends requests and counts what came back.

    Args:
        address: of the studio.
        hostile: draws the hostile ones.
    """

    def __init__(self, address: tuple[str, int], hostile: Any) -> None:  # noqa: ANN401
        self.address, self.hostile = address, hostile
        self.statuses: Counter[int] = Counter()
        self.times_ms: list[float] = []
        self._dropped: tuple[str, ...] = ()

    def drop(self, *paths: str) -> None:
        """Draw no hostile requests of these addresses any more."""
        self._dropped = paths

    def ask_hostile(self) -> None:
        """Send a hostile one."""
        case = self.hostile.draw()
        while case.path.partition("?")[0] in self._dropped:
            case = self.hostile.draw()
        self.ask(case.method, case.path, case.headers, case.body)

    def ask(self, method: str, path: str, headers: dict[str, bytes], body: bytes) -> None:
        """Send one and read its answer to the end."""
        named = {"host": b"127.0.0.1", "connection": b"close", "content-length": str(len(body)).encode(), **headers}
        head = [f"{method} {path} HTTP/1.1".encode(), *(name.encode() + b": " + one for name, one in named.items())]
        began = time.perf_counter()
        found = _sent(self.address, b"\r\n".join(head) + b"\r\n\r\n" + body)
        self.times_ms.append(1000 * (time.perf_counter() - began))
        status = _status(found)
        self.statuses[status] += 1
        if status >= 500 or b"Traceback" in found:
            raise AssertionError(f"{method} {path[:300]} {headers} {body[:300]!r} was answered: {found[:500]!r}")


class _Company:
    """Others who are connected meanwhile: pages that listen to events, and connections that dawdle."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address, self._over = address, threading.Event()
        listening = [threading.Thread(target=self._listen) for _ in range(_LISTENERS)]
        self._threads = listening + [threading.Thread(target=self._dawdle) for _ in range(_DAWDLERS)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        while not self._over.is_set():
            with socket.create_connection(self._address, timeout=1) as line:
                line.sendall(b"GET /studio/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                self._until_closed(line, b"")

    def _dawdle(self) -> None:
        while not self._over.is_set():
            with socket.create_connection(self._address, timeout=1) as line:
                line.sendall(b"POST /api/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n")
                self._until_closed(line, b"x")

    def _until_closed(self, line: socket.socket, piece: bytes) -> None:
        while not self._over.wait(0.05):
            try:
                line.sendall(piece)
                if not line.recv(65_536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


def _fuzz(asker: _Asker, tell: Callable[[str], None]) -> None:
    for number in range(FUZZED):
        asker.ask_hostile()
        if number % 1000 == 999:
            tell(f"{number + 1} of {FUZZED} fuzzed requests, {dict(sorted(asker.statuses.items()))}")


def _steadily(
    asker: _Asker, pid: int, minutes: float, pick: random.Random, picture: bytes, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Ask at an even pace, and see how much memory the studio takes."""
    asker.times_ms.clear()
    began, settled, sizes = time.monotonic(), 0, list[int]()
    for number in range(int(minutes * 60 * A_SECOND)):
        time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
        if pick.random() < 0.5:
            asker.ask_hostile()
        else:
            _ask_kindly(asker, pick, picture)
        if number % (A_SECOND * 10) == 0:
            sizes.append(_resident(pid))
            settled = settled or (len(sizes) - 1 if number >= _WARM_UP * minutes * 60 * A_SECOND else 0)
        if number % (A_SECOND * 60) == 0:
            tell(f"minute {number // (A_SECOND * 60)}: {sizes[-1] / 1e6:.1f} MB")
    return _judged(asker, sizes[settled:], minutes)


def _judged(asker: _Asker, sizes: Sequence[int], minutes: float) -> dict[str, Any]:
    # The mean of some looks: one look may fall into a request.
    first, last = (sum(some) / len(some) for some in (sizes[:6], sizes[-6:]))
    growth = last / first - 1
    times = sorted(asker.times_ms)
    figures = {
        "minutes": minutes,
        "requests": sum(asker.statuses.values()),
        "statuses": {str(status): count for status, count in sorted(asker.statuses.items())},
        "rss_mb": [round(first / 1e6, 1), round(last / 1e6, 1)],
        "growth": round(growth, 4),
        "p50_ms": round(times[len(times) // 2], 1),
        "p99_ms": round(times[len(times) * 99 // 100], 1),
    }
    if growth >= GROWTH:
        raise AssertionError(f"memory grew by {growth:.1%}: {figures}")
    return figures


def _ask_kindly(asker: _Asker, pick: random.Random, picture: bytes) -> None:
    path = pick.choice(
        ["/", "/review", "/studio/state", "/studio/photographs", "/studio/review", "/studio/use", "/api/model",
         "/studio/picture?path=class_0/0000.png", "/static/studio.css", "classify", "classify", "classify"]
    )  # fmt: skip
    if path == "classify":
        asker.ask("POST", "/api/classify", {"content-type": b"image/png"}, picture)
    else:
        asker.ask("GET", path, {}, b"")


def _drain(studio: Any) -> None:  # noqa: ANN401
    """Read what the studio says, so that its pipe never fills."""
    for line in studio.process.stdout:
        studio.said += line


def _sent(address: tuple[str, int], data: bytes) -> bytes:
    """Send a request; a refusal may come, and the connection end, before it is sent."""
    found = b""
    with socket.create_connection(address, timeout=35) as line:
        try:
            line.sendall(data)
            while piece := line.recv(65_536):
                found += piece
        except OSError as error:
            if not found and isinstance(error, TimeoutError):
                raise AssertionError(f"no answer within 35 s to {data[:300]!r}") from error
    return found


def _status(found: bytes) -> int:
    start = found.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").removeprefix(b"HTTP/1.1 100 \r\n\r\n")
    return int(start[9:12]) if start.startswith(b"HTTP/1.") else 0


def _resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise AssertionError(f"process {pid} is gone")
