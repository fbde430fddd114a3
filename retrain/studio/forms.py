"""Reads forms of photographs, and no more of them than may be: what is too large is neither kept nor written down."""

from __future__ import annotations

from contextlib import aclosing

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from retrain.errors import ImageError
from retrain.images.deep import deep_format
from retrain.images.opening import with_image
from retrain.studio.answers import Refused
from retrain.studio.editing import LIMITS

FORM = "multipart/form-data"
MOST_FIELDS = 10


class _Parser(MultiPartParser):
    """Keeps one byte more of a file than it may have: enough to say that it is too large."""

    most_bytes = 0
    is_whole = False
    _kept = 0

    def on_end(self) -> None:
        """Note that the form did not break off."""
        super().on_end()
        self.is_whole = True

    def close(self) -> None:
        """Close all files, also one that is in no form because it broke off."""
        for file in self._files_to_close_on_error:
            file.close()

    def on_part_begin(self) -> None:
        """Begin a part."""
        super().on_part_begin()
        self._kept = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a part; of a field that is too long, starlette itself says so."""
        if self._current_part.file is not None:
            end = min(end, start + self.most_bytes + 1 - self._kept)
            self._kept += end - start
        if end > start:
            super().on_part_data(data, start, end)


async def form_of(request: Request, most_files: int, most_bytes: int) -> FormData:
    """Read a request's form.

    Args:
        request: whose it is.
        most_files: it may hold.
        most_bytes: a file may have; of a larger one a byte more than that is kept, for bytes_of to refuse it.

    Returns:
        Its fields and files, for the caller to close.

    Raises:
        Refused: it is none, there is too much in it, or it breaks off.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != FORM.encode():
        raise Refused(415, f"expected Content-Type {FORM}, got {kind.decode('latin-1')[:80] or 'none'}")
    # RFC 7578 knows no such parameter, and not every codec of Python's fails as starlette expects.
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise Refused(400, "expected a form in UTF-8")
    async with aclosing(request.stream()) as stream:
        parser = _Parser(request.headers, stream, max_files=most_files, max_fields=MOST_FIELDS)
        parser.most_bytes = most_bytes
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise Refused(413 if "maximum" in error.message.lower() else 400, error.message) from error
    if not parser.is_whole:
        parser.close()
        raise Refused(400, "expected a whole form, got one that breaks off")
    return form


async def bytes_of(file: UploadFile, most_bytes: int) -> bytes:
    """Read a file of a form.

    Args:
        file: of form_of.
        most_bytes: as form_of was told.

    Returns:
        Its bytes.

    Raises:
        ImageError: there are more.
    """
    if file.size is None or file.size > most_bytes:
        raise ImageError("too large", f"more than the {most_bytes} bytes that are taken")
    return await file.read()


def check_pixels(data: bytes) -> None:
    """See that a photograph has no more pixels than a page may send; its header says it.

    Args:
        data: bytes of an image file.

    Raises:
        ImageError: it has more, or is none that is read.
    """
    if deep_format(data) == "FITS":  # of 20 MB; its own reader has limits
        return
    with_image(data, LIMITS, lambda image: None)
