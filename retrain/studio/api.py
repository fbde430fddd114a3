"""What scripts use: ``POST /api/classify`` and its neighbours, and the OpenAPI document that says how.

The version is in the document and in every answer; ``/api/v1/...`` is the same under a name that stays when a second
version comes.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from retrain import __version__
from retrain.errors import ImageError
from retrain.label.judging import Judged
from retrain.studio.answers import Refused, answer
from retrain.studio.editing import LIMITS
from retrain.studio.forms import FORM, bytes_of, form_of
from retrain.studio.models import Models
from retrain.studio.queueing import Late, Turns

API_VERSION = "1.0"
MOST_FILES = 20
# A request's, however many photographs it brings.
TOTAL_S = 30.0


class Api:
    """Answers scripts.

    Args:
        models: names photographs.
        turns: how many at a time.
    """

    def __init__(self, models: Models, turns: Turns) -> None:
        self._models, self._turns = models, turns

    async def classify(self, request: Request) -> Response:
        """Name one photograph, the body; or up to MOST_FILES, the files of a form."""
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind == FORM:
            return await self._classify_form(request)
        if kind != "application/octet-stream" and not kind.startswith("image/"):
            raise Refused(415, f"expected an image (Content-Type image/jpeg) or {FORM}, got {kind[:80] or 'none'}")
        top_k = top_k_of(request)
        data = await body_of(request, LIMITS.max_bytes)
        judged = await self._turns.run(partial(self._models.judge, data))
        return answer({"version": API_VERSION, **judged_facts(judged, top_k)})

    async def _classify_form(self, request: Request) -> Response:
        top_k = top_k_of(request)
        form = await form_of(request, MOST_FILES, LIMITS.max_bytes)
        try:
            async with asyncio.timeout(TOTAL_S):
                results = await self._classify_files(form, top_k)
        except TimeoutError as error:
            raise Late(f"no answer to all of it within {TOTAL_S:g} s; send fewer photographs at a time") from error
        finally:
            await form.close()
        return answer({"version": API_VERSION, "results": results})

    async def _classify_files(self, form: FormData, top_k: int) -> list[dict[str, Any]]:
        files = [one for _, one in form.multi_items() if isinstance(one, UploadFile)]
        if not files:
            raise Refused(400, "expected one or more files in the form, got none")
        return [await self._classify_file(file, top_k) for file in files]

    async def _classify_file(self, file: UploadFile, top_k: int) -> dict[str, Any]:
        try:
            data = await bytes_of(file, LIMITS.max_bytes)
            judged = await self._turns.run(partial(self._models.judge, data))
        except ImageError as error:
            return {"name": file.filename, "error": str(error)}
        return {"name": file.filename, **judged_facts(judged, top_k)}

    async def model(self, request: Request) -> Response:
        """Say which model it is."""
        return answer({"version": API_VERSION, **await self._turns.run(self._models.facts)})

    async def health(self, request: Request) -> Response:
        """Say that the studio is there."""
        return answer({"version": API_VERSION, "status": "ok", "model": self._models.is_there()})

    async def document(self, request: Request) -> Response:
        """Give the OpenAPI document."""
        return answer(openapi())


async def body_of(request: Request, most_bytes: int) -> bytes:
    """Read a request's body.

    Args:
        request: whose it is.
        most_bytes: no more are read.

    Returns:
        The bytes.

    Raises:
        Refused: there are more, or none.
    """
    parts, count = [], 0
    if int(request.headers.get("content-length", "0")) > most_bytes:  # the guard has seen that it is a number
        raise Refused(413, f"expected at most {most_bytes} bytes")
    async for part in request.stream():
        count += len(part)
        if count > most_bytes:
            raise Refused(413, f"expected at most {most_bytes} bytes")
        parts.append(part)
    if not count:
        raise Refused(400, "expected the bytes of an image, got an empty body")
    return b"".join(parts)


def top_k_of(request: Request) -> int:
    """Read ``?top_k=``.

    Args:
        request: whose query it is.

    Returns:
        How many labels; 0: all.

    Raises:
        Refused: it is no whole number from 1.
    """
    text = request.query_params.get("top_k", "")
    if text and (not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) < 1):
        raise Refused(400, f"expected top_k to be a whole number from 1, got {text[:20]!r}")
    return int(text or 0)


def judged_facts(judged: Judged, top_k: int = 0) -> dict[str, Any]:
    """Spell out what was said of a photograph.

    Args:
        judged: all labels, best first.
        top_k: how many to tell; 0: all.

    Returns:
        JSON's types only.
    """
    best, is_unknown = judged.guesses[0], judged.is_far
    return {
        "label": "unknown" if is_unknown else best.label,
        "score": best.score,
        "unknown": is_unknown,
        "scores": [{"label": one.label, "score": one.score} for one in judged.guesses[: top_k or None]],
        "nearest": [{"path": one.path, "label": one.label, "cosine": one.cosine} for one in judged.nearest],
    }


def openapi() -> dict[str, Any]:
    """Write the OpenAPI document.

    Returns:
        Of version 3.1.
    """
    from retrain.studio.openapi import document

    return document(__version__, API_VERSION, MOST_FILES, LIMITS.max_bytes)
