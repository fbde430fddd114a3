"""Binds the studio to an address and serves it until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from retrain.errors import UsageError
from retrain.interrupts import Terminated
from retrain.studio.patience import IDLE_S, PatientProtocol

# What is being answered when the studio ends may take so long.
_LAST_ANSWERS_S = 1
# Of a request's head.
_HEAD_BYTES = 65_536


def bind(host: str, port: int) -> socket.socket:
    """Take an address.

    Args:
        host: name or number.
        port: 0: any that is free.

    Returns:
        A socket that listens there.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host}: {_why(error)}; choose another --host") from error
    # Trap: asyncio sends at once (TCP_NODELAY) only where the protocol is named; else an answer waits 40 ms for the
    # receipt of its own head.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two programs have one address
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(128)  # two that have bound one address are told apart only here
    except OSError as error:
        taken.close()
        raise UsageError(f"cannot listen on {host}:{port}: {_why(error)}; choose another --port") from error
    return taken


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def serve(app: ASGIApp, taken: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        app: the studio.
        taken: of ``bind``.
        ready: called when requests are answered.

    Raises:
        Terminated: SIGTERM ended it; Ctrl-C is how a person ends it, and no error.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_level="error",  # requests that are no HTTP are nobody's concern
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    server = _Server(config, ready)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # forms that are none: as above
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[taken])
    if server.ended_by == signal.SIGTERM:
        raise Terminated


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a person wants to read it: that answers are cut short at the end is what Ctrl-C means."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and "timeout graceful shutdown" not in str(record.msg)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self.ended_by = ready, 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.ended_by = self.ended_by or sig
        self._captured_signals.clear()  # uvicorn would send them to itself again when all is over

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
