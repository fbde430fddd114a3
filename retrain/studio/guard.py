"""Who may ask, and what a page may load: the gate that every request passes, as an ASGI application around the app.

A page of another site, open in the same browser, can send requests to this machine and, by a name that it points at
127.0.0.1, even read the answers (DNS rebinding). So a request must name a host that the studio is known by. It must
come from the studio's own page, from no page at all, or be a link that somebody followed. Where the studio is bound to
more than this machine it must bring the token. Answers carry a policy that lets a page load nothing but the studio's
files, and run no script written into it: a label or file name that holds HTML stays text.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "retrain_studio"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
# Methods that change nothing: a link to a page may be on any other.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Wrong tokens a minute of one address: a token of 32 bytes is not guessed, and neither is it tried all day.
_WRONG_TOKENS, _WINDOW_S, _ADDRESSES = 10, 60.0, 1000
# name, name:8700, [::1]:8700; nothing else may stand there, a user's name or a path least of all.
_HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::[0-9]{1,5})?", re.ASCII)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        hosts: names that the studio is known by, in lower case, without a port.
        token: what an asker must bring; empty: nothing, as on loopback.
        max_body_bytes: of a request; the default is a form of twenty photographs of 20 MB.
        max_held_bytes: of the bodies of all requests that are not answered yet.
    """

    hosts: frozenset[str]
    token: str = ""
    max_body_bytes: int = 401_000_000
    max_held_bytes: int = 802_000_000


class _Wrong:
    """When wrong tokens came lately, by the address of who sent them: one that guesses must not lock others out."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, address: str) -> None:
        self._times.setdefault(address, deque(maxlen=_WRONG_TOKENS)).append(time.monotonic())
        self._times.move_to_end(address)
        if len(self._times) > _ADDRESSES:
            self._times.popitem(last=False)

    def is_too_many(self, address: str) -> bool:
        times = self._times.get(address)
        return times is not None and len(times) == _WRONG_TOKENS and time.monotonic() - times[0] < _WINDOW_S


class Guard:
    """Lets requests through to an application, or answers them itself.

    Args:
        app: the application.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access, self._wrong = app, access, _Wrong()
        self._held = _Held(access.max_held_bytes)
        self._cookie = cookie_name(access.token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return
        sending = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, sending)
            return
        counted = _Counted(receive, self._access.max_body_bytes, self._held)
        try:
            await self._app(scope, counted, sending)
        finally:
            self._held.bytes -= counted.count

    def _refusal(self, scope: Scope) -> JSONResponse | RedirectResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _host_of(hosts[0]) not in self._access.hosts:
            return _refuse(421, "expected a Host that the studio is known by; open the address that it printed")
        if not _is_own(scope["method"], headers):
            return _refuse(403, "expected a request of the studio's own page; requests of other sites are not taken")
        return _body_refusal(headers, self._access.max_body_bytes) or self._token_refusal(scope, headers)

    def _token_refusal(self, scope: Scope, headers: Headers) -> JSONResponse | RedirectResponse | None:
        if not self._access.token:
            return None
        address = (scope.get("client") or ("",))[0]
        if self._wrong.is_too_many(address):
            return _refuse(429, "too many wrong tokens; wait a minute", {"retry-after": "60"})
        cookie, bearer = _cookie(headers, self._cookie), _bearer(headers)
        if self._is_right(cookie) or self._is_right(bearer):
            return None
        query = scope.get("query_string", b"")[:1000].decode("latin-1")
        asked = parse_qs(query).get("token", [""])[0]
        if scope["method"] == "GET" and self._is_right(asked):
            # The token leaves the address bar, and with it the history and the screenshots.
            # Trap: //elsewhere is the address of another machine.
            answer = RedirectResponse("/" + scope["path"].lstrip("/"), 303)
            answer.set_cookie(self._cookie, self._access.token, httponly=True, samesite="strict", path="/")
            return answer
        if asked or cookie or bearer:
            self._wrong.add(address)
        text = "expected the token; open the address that the studio printed"
        return _refuse(401, text, {"www-authenticate": "Bearer"})

    def _is_right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._access.token.encode())


class TooLarge(Exception):  # noqa: N818 - as starlette's own exceptions are called
    """A body went on past the limit, whatever its Content-Length had said."""


class Full(Exception):  # noqa: N818
    """The bodies of all requests together are larger than they may be."""


@dataclass
class _Held:
    """Bytes of all bodies that came and are not answered yet: they lie in memory, or in temporary files."""

    limit: int
    bytes: int = 0


class _Counted:
    """Receives a request's body and counts it: a chunked one announces no length."""

    def __init__(self, receive: Receive, limit: int, held: _Held) -> None:
        self._receive, self._limit, self._held = receive, limit, held
        self.count = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self.count += size
        self._held.bytes += size
        if self.count > self._limit:
            raise TooLarge(f"expected at most {self._limit} bytes")
        if self._held.bytes > self._held.limit:
            raise Full("too much is being sent at a time; send it again in a moment")
        return message


def cookie_name(token: str) -> str:
    """Name the cookie that holds a token.

    A browser sends the cookies of a machine to all its ports: one of another studio, or of yesterday's, must neither
    take the place of this one nor count as a wrong token.

    Args:
        token: what the cookie holds.

    Returns:
        A name that goes with this token only.
    """
    return f"{COOKIE}_{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def _host_of(host: str) -> str:
    """Take the port off: ``name:8000``, ``[::1]:8000``; empty where it is neither."""
    found = _HOST.fullmatch(host.lower())
    return (found[1] or found[2]) if found else ""


def _is_own(method: str, headers: Headers) -> bool:
    """Whether a request comes from the studio's page, from no page at all, or is a link that was followed.

    A browser says how near the page is that sends a request (Sec-Fetch-Site), and names its origin where the request
    may change something. A script says neither. Another port of this machine is another origin.
    """
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin")
    if site not in ("", "same-origin", "none"):
        return method == "GET" and headers.get("sec-fetch-mode") == "navigate" and not _is_framed(headers)
    if method in _READING or origin is None:
        return True
    own = headers.get("host", "").lower()
    return origin.lower() in (f"http://{own}", f"https://{own}")


def _is_framed(headers: Headers) -> bool:
    return headers.get("sec-fetch-dest", "document") != "document"


def _body_refusal(headers: Headers, most: int) -> JSONResponse | None:
    length, coding = headers.get("content-length", "0"), headers.get("content-encoding", "identity")
    if not length.isascii() or not length.isdigit():
        return _refuse(400, "expected Content-Length to be a whole number")
    if len(length) > 15 or int(length) > most:
        return _refuse(413, f"expected at most {most} bytes, got {length[:15]}")
    if coding.strip().lower() != "identity":
        return _refuse(415, f"expected a body without Content-Encoding, got {coding[:20]!r}; send it as it is")
    return None


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refuse(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
