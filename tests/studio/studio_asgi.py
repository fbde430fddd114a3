"""Asks an ASGI application without a network and without a client's manners: headers go in as they are given."""

from __future__ import annotations

import asyncio
import json as jsons
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message


@dataclass
class Answer:
    status_code: int = 0
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""

    @property
    def headers(self) -> Headers:
        return Headers(raw=self.raw_headers)

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return jsons.loads(self.content)


class Asker:
    """A client: an event loop in a thread of its own, the application's lifespan around all requests."""

    def __init__(self, app: ASGIApp, address: str = "127.0.0.1") -> None:
        self._app, self._address = app, address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Asker:
        self._thread.start()
        self.run(self._begin())
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(120)

    async def _begin(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._life = asyncio.create_task(self._app(scope, self._messages.get, self._told.put))
        await self._messages.put({"type": "lifespan.startup"})
        assert (await self._told.get())["type"] == "lifespan.startup.complete"

    async def _end(self) -> None:
        await self._messages.put({"type": "lifespan.shutdown"})
        assert (await self._told.get())["type"] == "lifespan.shutdown.complete"
        await self._life

    def get(self, path: str, **given: Any) -> Answer:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> Answer:
        return self.request("POST", path, **given)

    def request(self, method: str, path: str, **given: Any) -> Answer:
        """Ask; ``content`` is bytes or pieces of them, ``json`` anything, ``headers`` a table or pairs of bytes."""
        return self.run(self.ask(method, path, **given))

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] | list[tuple[bytes, bytes]] | None = None,
        content: bytes | Iterable[bytes] = b"",
        json: Any = None,
    ) -> Answer:
        pairs = headers if isinstance(headers, list) else _pairs(headers or {})
        if json is not None:
            content = jsons.dumps(json).encode()
            pairs = [*pairs, (b"content-type", b"application/json")]
        return await _one(self._app, _scope(method, path, pairs, self._address), content)


def _pairs(given: Mapping[str, str | bytes]) -> list[tuple[bytes, bytes]]:
    named = {"host": "127.0.0.1", **given}
    return [(name.encode(), one if isinstance(one, bytes) else one.encode("latin-1")) for name, one in named.items()]


def _scope(method: str, path: str, pairs: list[tuple[bytes, bytes]], address: str) -> dict[str, Any]:
    raw, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(errors="surrogatepass"),
        "query_string": query.encode(errors="surrogatepass"),
        "root_path": "",
        "headers": pairs,
        "client": (address, 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


async def _one(app: ASGIApp, scope: dict[str, Any], content: bytes | Iterable[bytes]) -> Answer:
    """Ask once; what tells events for hours is left after the first of them."""
    pieces = iter([content] if isinstance(content, bytes) else content)
    is_over, found = asyncio.Event(), Answer()

    async def receive() -> Message:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        if not is_over.is_set() and not getattr(receive, "whole", False):
            receive.whole = True  # type: ignore[attr-defined]
            return {"type": "http.request", "body": b"", "more_body": False}
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            found.status_code, found.raw_headers = message["status"], list(message["headers"])
            return
        found.content += message.get("body", b"")
        if not message.get("more_body") or "event-stream" in found.headers.get("content-type", ""):
            is_over.set()

    await app(scope, receive, send)
    return found
