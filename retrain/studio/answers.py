"""JSON answers, and every error as one: a status, a sentence, never a traceback."""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from retrain.errors import CacheError, ImageError, RetrainError, UsageError
from retrain.studio.guard import Full, TooLarge
from retrain.studio.queueing import Busy, Late

Handler = Callable[[Request], Awaitable[Response]]
_STATUS: dict[type[Exception], int] = {
    UsageError: 400,
    ImageError: 415,
    CacheError: 503,
    Busy: 503,
    Late: 503,
    TooLarge: 413,
    Full: 503,
    ClientDisconnect: 400,  # nobody reads it
}


class Refused(Exception):  # noqa: N818
    """A request that is answered with a status and a sentence.

    Args:
        status: of HTTP.
        text: what was expected, what came, what to do.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def answer(facts: Any, status: int = 200) -> Response:  # noqa: ANN401
    """Answer with JSON.

    Args:
        facts: what JSON can hold; a number that is none becomes null, lone surrogates become escapes.
        status: of HTTP.

    Returns:
        The answer, which no cache keeps.
    """
    text = json.dumps(_finite(facts), allow_nan=False, separators=(",", ":"))
    return Response(text, status, {"cache-control": "no-store"}, "application/json")


def _finite(facts: Any) -> Any:  # noqa: ANN401
    if isinstance(facts, float):
        return facts if math.isfinite(facts) else None
    if isinstance(facts, dict):
        return {str(name): _finite(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    return facts


def refusal(error: Exception) -> Response:
    """Turn an error into an answer.

    Args:
        error: what was raised.

    Returns:
        Its status and its sentences; 500 only for a flaw of the studio itself, whose traceback goes to the terminal.
    """
    if isinstance(error, Refused):
        return answer({"error": str(error)}, error.status)
    if isinstance(error, HTTPException):
        made = answer({"error": error.detail}, error.status_code)
        made.headers.update(error.headers or {})
        return made
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 0)
    if not status and isinstance(error, RetrainError):
        status = 409
    if not status:
        traceback.print_exception(error, file=sys.stderr)
        return answer({"error": "an error of the studio itself; what it was stands in the terminal"}, 500)
    problems = error.problems if isinstance(error, UsageError) else (str(error),)
    made = answer({"error": "; ".join(problems), "problems": list(problems)}, status)
    if status == 503:
        made.headers["retry-after"] = "1"
    return made


def answering(handler: Handler) -> Handler:
    """Wrap a handler, so that whatever it raises is an answer.

    Args:
        handler: of a request.

    Returns:
        A handler that raises nothing.
    """

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - this is where every error becomes an answer
            return refusal(error)

    return handle


def query_of(request: Request) -> dict[str, str]:
    """Read what stands behind the question mark of an address.

    Starlette's own replaces bytes that are no UTF-8, and a photograph whose name has some would never be found.

    Args:
        request: whose address it is.

    Returns:
        name -> value, the last where one is there twice; bytes that are no UTF-8 as file names hold them (PEP 383).
    """
    query = request.scope.get("query_string", b"").decode("latin-1")
    return dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))


async def json_of(request: Request, most_bytes: int = 1_000_000) -> dict[str, Any]:
    """Read a JSON object out of a request.

    Args:
        request: whose body it is.
        most_bytes: larger ones are refused unread.

    Returns:
        Its members.

    Raises:
        Refused: it is not JSON, no object, or too large.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"expected Content-Type application/json, got {kind or 'none'}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise Refused(413, f"expected at most {most_bytes} bytes of JSON")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "expected JSON") from error
    if not isinstance(found, dict):
        raise Refused(400, f"expected a JSON object, got {type(found).__name__}")
    return found


def text_in(facts: dict[str, Any], name: str, most: int = 4096) -> str:
    """Read a member that must be text.

    Args:
        facts: of json_of.
        name: of the member.
        most: characters.

    Returns:
        The text.

    Raises:
        Refused: it is missing, no text, empty or too long.
    """
    found = facts.get(name)
    if not isinstance(found, str) or not found or len(found) > most:
        raise Refused(400, f"expected {name!r} to be text of 1 to {most} characters, got {str(found)[:60]!r}")
    return found


def texts_in(facts: dict[str, Any], name: str, most: int = 100_000) -> list[str]:
    """Read a member that must be a list of texts.

    Args:
        facts: of json_of.
        name: of the member.
        most: how many.

    Returns:
        The texts, one or more.

    Raises:
        Refused: it is no such list.
    """
    found = facts.get(name)
    if not isinstance(found, list) or not 0 < len(found) <= most or not all(isinstance(one, str) for one in found):
        raise Refused(400, f"expected {name!r} to be a list of 1 to {most} texts")
    return found
