"""The cheapest client of POST /api/classify that keeps its connections: ``python studio_ask.py PORT IN_FLIGHT ...``.

A process of its own that imports neither the project nor an HTTP library: whole requests are put together before the
clock starts, and of an answer no more is read than its length. A thread a request in flight. Writes JSON to standard
output: the milliseconds of each answer, how long all took, and the processor seconds that the client itself used.
"""

import argparse
import json
import socket
import sys
import threading
import time
from pathlib import Path

END = b"\r\n\r\n"


def main() -> int:
    """Send, and say how long the answers took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("in_flight", type=int)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--requests", type=int, default=0, help="in all; 0: until --seconds are over")
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    sending = Sending(given.port, [request_of(path.read_bytes()) for path in given.pictures])
    sending.run(given.in_flight, given.requests, given.seconds)
    json.dump(sending.facts(), sys.stdout)
    return 0


def request_of(body: bytes) -> bytes:
    """Put a whole request together."""
    head = "POST /api/classify HTTP/1.1", "Host: 127.0.0.1", "Content-Type: image/jpeg", f"Content-Length: {len(body)}"
    return "\r\n".join(head).encode() + END + body


class Answers:
    """Reads answers off one connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """Send a request and give its answer; ends the process where it is no 200."""
        self._socket.sendall(request)
        got = self._socket.recv(65_536)
        while END not in got:
            got += self._more()
        head, body = got.split(END, 1)
        length = length_in(head)
        while len(body) < length:
            body += self._more()
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"expected 200, got {head[:40]!r} {body[:200]!r}")
        return body

    def _more(self) -> bytes:
        got = self._socket.recv(65_536)
        if not got:
            raise SystemExit("the studio closed the connection in the middle of an answer")
        return got


def length_in(head: bytes) -> int:
    """Read the Content-Length out of the head of an answer."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise SystemExit(f"expected an answer with a Content-Length, got {head[:200]!r}")


class Sending:
    """Sends the same few requests over and over."""

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self._port, self._requests = port, requests
        self._lock = threading.Lock()
        self._sent, self._ms, self._failed = 0, [], []
        self._wall_s = self._cpu_s = 0.0

    def run(self, in_flight: int, most: int, seconds: float) -> None:
        """Keep so many in flight, until as many were sent or the time is over."""
        start, cpu = time.perf_counter(), time.process_time()
        end = start + seconds if seconds else float("inf")
        threads = [threading.Thread(target=self._keep_on, args=(most or 1 << 60, end)) for _ in range(in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._wall_s, self._cpu_s = time.perf_counter() - start, time.process_time() - cpu
        if self._failed:
            raise SystemExit(self._failed[0])

    def _keep_on(self, most: int, end: float) -> None:
        try:
            answers, took = Answers(self._port), []
            while (number := self._next()) < most and (before := time.perf_counter()) < end:
                answers.ask(self._requests[number % len(self._requests)])
                took.append(1000 * (time.perf_counter() - before))
            with self._lock:
                self._ms += took
        except (OSError, SystemExit) as error:
            self._failed.append(str(error))

    def _next(self) -> int:
        with self._lock:
            self._sent += 1
            return self._sent - 1

    def facts(self) -> dict[str, object]:
        """Spell out what was measured."""
        return {"ms": self._ms, "wall_s": self._wall_s, "cpu_s": self._cpu_s}


if __name__ == "__main__":
    sys.exit(main())
