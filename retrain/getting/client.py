"""Asks one address once: within a time and a size, connected to the very addresses that were looked at.

Nothing is unpacked on the way (a compressed answer is no picture), no proxy or password of the environment is used, and
a server that sends us elsewhere is not followed here: download.py looks at the new address as at any other.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from retrain.getting.addresses import Address, Policy, RefusedError, connectable

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

_BLOCK = 1 << 16
_MOVED = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 425, 429})  # and all from 500


class TryAgainError(Exception):
    """What went wrong may be otherwise next time.

    Args:
        reason: a sentence.
        after_s: how long the server wants to be left alone, seconds; 0 where it does not say.
    """

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        self.after_s = after_s
        super().__init__(reason)


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Args:
        status: of HTTP.
        data: the body; empty where we are sent elsewhere, or where the status is no success.
        location: where we are sent; empty where we are not.
    """

    status: int
    data: bytes = b""
    location: str = ""


@dataclass
class Client:
    """Asks addresses; may be used by many threads.

    Args:
        policy: what may be connected to.
        user_agent: who asks.
        timeout_s: how long a connection or a block of data may take.
        total_s: how long the whole of an answer may take.
        context: for TLS; None takes the system's certificates.
    """

    policy: Policy
    user_agent: str
    timeout_s: float = 10.0
    total_s: float = 60.0
    context: ssl.SSLContext | None = None
    _live: set[socket.socket] = field(default_factory=set)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self.context = self.context or ssl.create_default_context()

    def get(self, address: Address, max_bytes: int, now_s: float) -> Answer:
        """Ask an address.

        Args:
            address: that may be asked.
            max_bytes: of the body; no more are read.
            now_s: seconds since the epoch, to read a server's dates by.

        Returns:
            The answer.

        Raises:
            TryAgainError: no connection, a timeout, a cut answer, or a status that says so.
            RefusedError: it must not be connected to, its certificate is not good, or the answer is too large.
        """
        import urllib3.exceptions as faults

        try:
            with self._connected(address) as (connection, expired):
                try:
                    return self._ask(connection, address, max_bytes, now_s)
                except (faults.HTTPError, http.client.HTTPException, OSError):
                    if expired.is_set():
                        raise TryAgainError(f"no whole answer within {self.total_s:g} s") from None
                    raise
        except (ssl.SSLCertVerificationError, faults.SSLError) as error:
            raise RefusedError(f"the certificate of {address.host} is not good: {error}") from error
        except faults.NewConnectionError as error:  # to urllib3 a kind of timeout
            raise TryAgainError(f"no answer: {_words(error)}") from error
        except (TimeoutError, faults.TimeoutError) as error:
            raise TryAgainError(f"no answer within {self.timeout_s:g} s") from error
        except http.client.IncompleteRead as error:
            raise TryAgainError("the answer was cut off") from error
        except faults.ProtocolError as error:
            raise TryAgainError(f"the answer was cut off: {_words(error)}") from error
        except (faults.HTTPError, http.client.HTTPException, OSError) as error:
            raise TryAgainError(f"no answer: {_words(error)}") from error

    @contextlib.contextmanager
    def _connected(self, address: Address) -> Iterator[tuple[HTTPConnection, threading.Event]]:
        connection = self._connect(address)
        plug = connection.sock
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _cut(plug)

        # A server that sends a byte now and then keeps every single timeout.
        watch = threading.Timer(self.total_s, expire)
        watch.daemon = True
        self._live.add(plug)
        try:
            if self._stopped:
                raise TryAgainError("stopped")
            watch.start()
            yield connection, expired
            if expired.is_set():  # a body without a length, cut off by us, looks whole
                raise TryAgainError(f"no whole answer within {self.total_s:g} s")
        finally:
            watch.cancel()
            self._live.discard(plug)
            connection.close()

    def _connect(self, address: Address) -> HTTPConnection:
        from urllib3.connection import HTTPConnection, HTTPSConnection

        fault: Exception = OSError("nothing to connect to")
        for numeric in connectable(address, self.policy)[:4]:
            settings: dict[str, Any] = {"timeout": self.timeout_s}
            if address.scheme == "https":
                settings |= {"ssl_context": self.context, "server_hostname": address.host}
            kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
            connection = kind(numeric, address.port, **settings)
            try:
                connection.connect()
            except ssl.SSLCertVerificationError:
                connection.close()
                raise
            except Exception as error:  # noqa: BLE001 - kept, and raised where no other address is left
                connection.close()
                fault = error
                continue
            return connection
        raise fault

    def _ask(self, connection: HTTPConnection, address: Address, max_bytes: int, now_s: float) -> Answer:
        headers = {
            "Host": address.site.split("://", 1)[1],
            "User-Agent": self.user_agent,
            "Accept": "image/jpeg, image/png, image/webp, image/gif, image/bmp, */*;q=0.1",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        connection.request("GET", address.target, headers=headers, preload_content=False, decode_content=False)
        answer = connection.getresponse()
        try:
            if answer.status in _AGAIN or answer.status >= 500:
                after_s = retry_after_s(answer.headers.get("Retry-After", ""), now_s)
                raise TryAgainError(f"status {answer.status}", after_s)
            if answer.status in _MOVED:
                return Answer(answer.status, location=answer.headers.get("Location", ""))
            if answer.status != 200:
                return Answer(answer.status)
            return Answer(answer.status, _body(answer, max_bytes))
        finally:
            answer.close()

    def stop(self) -> None:
        """End what is under way, and start nothing new."""
        self._stopped = True
        for plug in list(self._live):
            _cut(plug)


def _body(answer: Any, max_bytes: int) -> bytes:  # noqa: ANN401 - urllib3's response
    said = answer.headers.get("Content-Length", "")
    if said.isdecimal() and int(said) > max_bytes:
        raise RefusedError(f"too large: {said} bytes, at most {max_bytes} are taken")
    data = bytearray()
    while block := answer.read1(_BLOCK):
        data += block
        if len(data) > max_bytes:
            raise RefusedError(f"too large: over {max_bytes} bytes")
    return bytes(data)


def _cut(plug: Any) -> None:  # noqa: ANN401 - a socket, or one of urllib3's for TLS
    # Trap: the shutdown of a TLS socket takes its layer away from under the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(plug, socket.SHUT_RDWR)


def _words(error: BaseException) -> str:
    """What the system said, without urllib3's object addresses around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def retry_after_s(text: str, now_s: float) -> float:
    """Read the header Retry-After.

    Args:
        text: seconds, or a date.
        now_s: seconds since the epoch.

    Returns:
        Seconds to wait; 0 where it says nothing that can be read.
    """
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return 0.0


def library_problem() -> str | None:
    """Say what is missing to ask anything.

    Returns:
        One sentence with the command that mends it, or None.
    """
    missing = [name for name in ("urllib3", "protego") if importlib.util.find_spec(name) is None]
    if missing:
        names, are = " and ".join(missing), "are" if len(missing) > 1 else "is"
        return f"fetch needs {names}, which {are} not installed: python -m pip install 'retrain-photos[fetch]'"
    return None
