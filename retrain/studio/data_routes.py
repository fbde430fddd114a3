"""The Data page's requests: classes, photographs, thumbnails, and every change of the folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from retrain import fsio
from retrain.console import printable
from retrain.dataset import Catalog
from retrain.errors import UsageError
from retrain.studio import editing
from retrain.studio.answers import Handler, Refused, answer, json_of, query_of, text_in, texts_in
from retrain.studio.desk import Desk
from retrain.studio.forms import form_of
from retrain.studio.listing import Listing
from retrain.studio.looking import findings
from retrain.studio.pictures import TILE, WHOLE
from retrain.studio.review import folder_of

# Files in one upload; a page sends a folder in as many as it takes.
MOST_FILES = 20
# Photographs in one answer.
MOST_LISTED = 1000
_SIZES = {"tile": TILE, "whole": WHOLE}
Facts = dict[str, Any]


class DataRoutes:
    """Answers the Data page.

    Args:
        desk: what all routes share.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._listing = Listing()

    def table(self) -> list[tuple[str, str, Handler]]:
        """List address below /studio, method and handler."""
        return [
            ("events", "GET", self.events),
            ("state", "GET", self.state),
            ("photographs", "GET", self.photographs),
            ("picture", "GET", self.picture),
            ("doctor", "GET", self.doctor),
            ("rescan", "POST", self.rescan),
            ("upload", "POST", self.upload),
            ("move", "POST", self.move),
            ("take_out", "POST", self.take_out),
            ("undo", "POST", self.undo),
            ("classes/make", "POST", self.make),
            ("classes/rename", "POST", self.rename),
            ("classes/merge", "POST", self.merge),
            ("classes/drop", "POST", self.drop),
        ]

    async def events(self, request: Request) -> Response:
        """Tell the page of every change, as long as it listens."""
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._desk.events.stream(), 200, headers, "text/event-stream")

    async def state(self, request: Request) -> Response:
        """Say what is known, in short."""
        return answer(await self._desk.picture_turns.run(self._state))

    def _state(self) -> dict[str, Any]:
        from retrain.studio.model_routes import head_facts

        desk, told = self._desk, self._desk.events.so_far
        standing = desk.workshop.standing
        return {
            "told": told,
            "revision": standing.revision,
            "image_dir": desk.workshop.config.image_dir,
            "classes": self._listing.classes(desk.workshop.root, standing.catalog),
            "photographs": len(standing.catalog.records) if standing.catalog else 0,
            "left_out": standing.catalog.left_out if standing.catalog else {},
            "problems": list(standing.problems),
            "undo": self._undo_words(),
            "allow_urls": desk.allow_urls,
            "max_files": MOST_FILES,
            "max_file_bytes": editing.LIMITS.max_bytes,
            **head_facts(desk),
        }

    async def photographs(self, request: Request) -> Response:
        """List photographs of a class, or of all: ``?folder=&find=&start=&count=``."""
        query = query_of(request)
        start, count = _number(query.get("start", "0")), _number(query.get("count", "200"))
        if count > MOST_LISTED:
            raise Refused(400, f"expected count to be at most {MOST_LISTED}, got {count}")
        folder, find = query.get("folder", ""), query.get("find", "").casefold()
        listed = partial(self._listing.page, self._desk.workshop.standing, folder, find, start, count)
        return answer(await self._desk.picture_turns.run(listed))

    async def picture(self, request: Request) -> Response:
        """Show a photograph: ``?path=&size=tile|whole``."""
        query = query_of(request)
        path, size = query.get("path", ""), query.get("size", "tile")
        if size not in _SIZES:
            raise Refused(400, f"expected size to be {' or '.join(_SIZES)}, got {size[:20]!r}")
        known = request.headers.get("if-none-match", "")
        data, tag = await self._desk.picture_turns.run(lambda: self._shown(path, _SIZES[size], known))
        # A page names the version that it wants; without one, a browser is to ask again.
        kept = "private, max-age=31536000, immutable" if query.get("v") else "private, no-cache"
        headers = {"etag": tag, "cache-control": kept}
        return Response(data, 200 if data else 304, headers, "image/jpeg" if data else None)

    def _shown(self, path: str, edge: int, known: str) -> tuple[bytes, str]:
        """Make a JPEG, unless the page has it."""
        found, pictures = self._inside(path), self._desk.pictures
        tag = pictures.tag(found, edge)
        return (b"", tag) if tag == known else pictures.jpeg(found, edge)

    def _inside(self, path: str) -> Path:
        """Find a photograph's file; only what a run would read is shown, whatever else lies in the folder."""
        parts = path.split("/")
        if not path or "\0" in path or any(part in ("", ".", "..") or part.startswith(".") for part in parts):
            raise Refused(404, f"expected the path of a photograph, got {path[:80]!r}")
        found = fsio.safe_join(self._desk.workshop.root, *parts)
        root = os.path.realpath(self._desk.workshop.root)
        if not os.path.realpath(found).startswith(root + os.sep) and not self._listing.is_listed(
            self._desk.workshop.standing, path
        ):
            raise Refused(404, f"expected the path of a photograph, got {path[:80]!r}")
        if not os.path.isfile(found):  # noqa: PTH113 - Path.is_file raises where a name is too long
            raise Refused(404, f"{path[:80]!r} is not there any more")
        return found

    async def doctor(self, request: Request) -> Response:
        """Look at every photograph and say what is wrong with the folder; it takes as long as it takes."""
        look = partial(findings, self._desk.workshop.config, self._desk.events)
        return answer({"findings": await self._desk.long_turns.run(look)})

    async def rescan(self, request: Request) -> Response:
        """Look at the folder again; other programs may have changed it."""
        return await self._changing(lambda: None)

    async def upload(self, request: Request) -> Response:
        """Add photographs: a form with the field ``folder`` and up to MOST_FILES files.

        With the field ``fix``, as an earlier answer gave it, they are undone together with those of that answer.
        """
        form = await form_of(request, MOST_FILES, editing.LIMITS.max_bytes)
        try:
            folder, fix, files = _upload_of(form)
            return await self._changing(lambda: self._added(folder, fix, files))
        finally:
            await form.close()

    def _added(self, folder: str, fix: int, files: list[tuple[str, Callable[[], bytes]]]) -> Facts:
        desk = self._desk.workshop
        added = editing.add_photographs(desk.root, folder, files, desk.standing.catalog, fix)
        refused = [{"name": name, "error": why} for name, why in added.refused]
        return {"added": list(added.paths), "refused": refused, "fix": added.fix}

    async def move(self, request: Request) -> Response:
        """Move photographs to a class: ``{"paths": [...], "to": "..."}``."""
        facts = await json_of(request)
        paths, to = texts_in(facts, "paths"), text_in(facts, "to", 255)

        def change() -> Facts:
            catalog = self._catalog()
            return {"moved": editing.move_photographs(catalog, paths, folder_of(catalog, to))}

        return await self._changing(change)

    async def take_out(self, request: Request) -> Response:
        """Take photographs out of their classes: ``{"paths": [...]}``."""
        paths = texts_in(await json_of(request), "paths")
        return await self._changing(lambda: {"moved": editing.take_out(self._catalog(), paths)})

    async def undo(self, request: Request) -> Response:
        """Take back the last change."""

        def take_back() -> Facts:
            back, gone = editing.undo(self._desk.workshop.root)
            return {"moved": back, "gone": gone}

        return await self._changing(take_back)

    async def make(self, request: Request) -> Response:
        """Make a class: ``{"name": "..."}``."""
        name = text_in(await json_of(request), "name", 255)
        return await self._changing(lambda: editing.make_class(self._top(), name))

    async def rename(self, request: Request) -> Response:
        """Rename a class: ``{"old": "...", "new": "..."}``."""
        facts = await json_of(request)
        old, new = text_in(facts, "old", 255), text_in(facts, "new", 255)
        return await self._changing(lambda: editing.rename_class(self._top(), old, new))

    async def merge(self, request: Request) -> Response:
        """Merge a class into another: ``{"old": "...", "into": "..."}``."""
        facts = await json_of(request)
        old, into = text_in(facts, "old", 255), text_in(facts, "into", 255)
        self._top()
        return await self._changing(lambda: {"moved": editing.merge_classes(self._catalog(), old, into)})

    async def drop(self, request: Request) -> Response:
        """Take away an empty class: ``{"name": "..."}``."""
        name = text_in(await json_of(request), "name", 255)
        return await self._changing(lambda: editing.drop_class(self._top(), name))

    def _catalog(self) -> Catalog:
        catalog = self._desk.workshop.standing.catalog
        if catalog is None:
            raise UsageError(self._desk.workshop.standing.problems or ["the image folder cannot be read"])
        return catalog

    def _top(self) -> Path:
        """The folder of the class folders."""
        catalog = self._desk.workshop.standing.catalog
        if catalog is not None and catalog.side_folders:
            raise UsageError(
                "these photographs lie in folders of training, validation and testing; classes of such a folder are "
                "made and renamed by hand, photographs can be moved here"
            )
        return self._desk.workshop.root

    async def _changing(self, change: Callable[[], Facts | None]) -> Response:
        """Change the folder, look at it again, and say what it is now; the head follows."""
        if self._desk.workshop.config.multi_label:
            raise Refused(
                409, "these photographs have their labels in text files beside them: change those, not folders"
            )

        def do() -> tuple[Facts, int]:
            # Asked in the queue of changes, in which runs are started: none begins while files move.
            if self._desk.trainer.is_running:
                raise Refused(409, "a run is reading the photographs; wait for it, or cancel it, before changing them")
            try:
                done = change() or {}
            except OSError as error:
                raise Refused(409, _refused_by_the_disk(error)) from error
            finally:  # of a change that failed as well: the page may have been shown what is there no more
                revision = self._desk.workshop.look_again().revision
            return {**done, "undo": self._undo_words()}, revision

        facts, revision = await self._desk.changes.run(do)
        return answer({**facts, "revision": revision})

    def _undo_words(self) -> str:
        """Say what undo would take back; of a journal that cannot be read, what is wrong with it."""
        try:
            return self._listing.last_change(self._desk.workshop.root)
        except (UsageError, OSError) as error:
            return str(error)


def _refused_by_the_disk(error: OSError) -> str:
    name = printable(str(error.filename)) if error.filename else "the image folder"
    return f"the folder could not be changed: {name}: {error.strerror or error}; mend that and try again"


def _upload_of(form: FormData) -> tuple[str, int, list[tuple[str, Callable[[], bytes]]]]:
    """Read folder, fix and files out of a form; the files are read in the thread that writes them."""
    folder, fix = form.get("folder"), form.get("fix") or "0"
    files = [one for _, one in form.multi_items() if isinstance(one, UploadFile)]
    if not isinstance(folder, str) or not folder or not isinstance(fix, str) or not files:
        raise Refused(400, "expected the field folder and one or more files")
    return folder, _number(fix), [(one.filename or "photograph.jpg", partial(_bytes_of, one)) for one in files]


def _bytes_of(file: UploadFile) -> bytes:
    file.file.seek(0)
    return file.file.read(editing.LIMITS.max_bytes + 1)  # one more than is taken, so that it is refused


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused(400, f"expected a whole number, got {text[:20]!r}")
    return int(text)
