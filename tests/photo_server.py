"""A web server on this machine with every fault that a download may meet."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers a path as it was told to."""

    server: PhotoServer

    def do_GET(self) -> None:
        owner = self.server
        owner.asked[self.path] += 1
        owner.agents.add(self.headers["User-Agent"])
        answer = owner.pages.get(self.path)
        if answer is None:
            self.send_error(404)
            return
        # What we hang up on cannot be written to any more.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            answer(self)

    def log_message(self, *_: object) -> None:
        pass


class PhotoServer(ThreadingHTTPServer):
    """Pages, and how often each was asked for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up in the middle of a handshake


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[PhotoServer]:
    server = PhotoServer()
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def page(data: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def unmeasured(data: bytes) -> Answer:
    """A body that ends where the connection does."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Another answer each time; the last one for ever."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def sent_to(location: str, status: int = 302) -> Answer:
    return page(b"", status, Location=location)


def stalled(data: bytes = b"") -> Answer:
    """Begins and never ends."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.wfile.write(data)
        handler.server.closing.wait(30)

    return answer


def dripping(handler: Handler) -> None:
    """A byte now and then: keeps every timeout but that of the whole, and says nothing of a length."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b"\xff")


def dripping_slowly_to(length: int) -> Answer:
    """The same, with a length that it does not reach."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        while not handler.server.closing.wait(0.02):
            handler.wfile.write(b"\xff")

    return answer


def dripping_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b"x")


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.closing.is_set():
        handler.wfile.write(b"\xff\xd8\xff" + bytes(1 << 16))


def chunked(data: bytes, *, whole: bool = True) -> Answer:
    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) + (b"0\r\n\r\n" if whole else b"ff\r\nab"))
        handler.close_connection = True

    return answer


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
