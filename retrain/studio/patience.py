"""How long a connection may dawdle: the rules that a server without a proxy in front of it has to keep by itself.

- A request is whole WHOLE_REQUEST_S after its first byte, and a second later for each PACE bytes that have come: who
  sends a byte now and then is given up, an upload over a slow line goes on for as long as it comes (as Apache's
  mod_reqtimeout does it). A new connection's time begins with the connection.
- Between two requests a connection is kept for IDLE_S.
- Once a request is whole, its answer may take as long as it takes: events are told for hours. But who takes nothing of
  it for UNREAD_S is given up.
- No more than CONNECTIONS are open. One more is let in at the cost of the one that would be given up first; where all
  are being answered it is not let in.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

WHOLE_REQUEST_S = 25.0
PACE = 50_000
IDLE_S = 15
UNREAD_S = 25.0
CONNECTIONS = 200


class _Timer(Protocol):
    def cancel(self) -> None: ...


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose requests must be whole in time, and whose answers must be taken."""

    # Since when a request, or the next one, is waited for; None: one is being answered.
    _since: float | None = None
    _begun = False
    _came = 0
    _given_up: _Timer | None = None
    _unread: _Timer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; make room where there is none."""
        super().connection_made(transport)
        self._wait(begun=True)
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take what came; once a request is whole, its answer may take as long as it takes."""
        self._came += len(data)
        super().data_received(data)
        self._settle()

    def on_response_complete(self) -> None:
        """Wait for the next request on the same connection."""
        super().on_response_complete()
        self._settle()

    def pause_writing(self) -> None:
        """Wait for the other side to read."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it reads."""
        super().resume_writing()
        self._unread = _cancel(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        self._unread = _cancel(self._unread)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End as the studio does: what is told for hours ends now, and no half of a request is waited for."""
        super().shutdown()
        if self._since is not None or self.cycle.response_started:
            self.transport.close()

    @property
    def deadline(self) -> float:
        """When it is given up, by the loop's clock; infinity while it is being answered."""
        if self._since is None:
            return float("inf")
        return self._since + (WHOLE_REQUEST_S + self._came / PACE if self._begun else IDLE_S)

    def _settle(self) -> None:
        """See what is being waited for now."""
        if self.transport.is_closing():
            self._stop()
            return
        state = self.conn.their_state
        if state is h11.IDLE:
            self._wait(begun=bool(self.conn.trailing_data[0]))
        elif state is h11.SEND_BODY:
            self._wait(begun=True)
        else:
            self._stop()

    def _wait(self, *, begun: bool) -> None:
        if self._since is None or self._begun != begun:
            self._since, self._begun, self._came = self.loop.time(), begun, 0
            _cancel(self._given_up)
            self._look()

    def _stop(self) -> None:
        self._since, self._given_up = None, _cancel(self._given_up)

    def _look(self) -> None:
        """Give up, or look again when it would be time to."""
        if self.loop.time() < self.deadline:
            self._given_up = self.loop.call_at(self.deadline, self._look)
        else:
            self.transport.close()

    def _make_room(self) -> None:
        is_open = [one for one in self.connections if isinstance(one, PatientProtocol) and not one.is_closing()]
        if len(is_open) <= CONNECTIONS:
            return
        first = min((one for one in is_open if one is not self), key=lambda one: one.deadline, default=self)
        (self if first.deadline == float("inf") else first).transport.abort()

    def is_closing(self) -> bool:
        """Whether it will be gone in a moment."""
        return self.transport.is_closing()


def _cancel(timer: _Timer | None) -> _Timer | None:
    """Cancel a timer, and give the none that takes its place."""
    if timer is not None:
        timer.cancel()
    return None
