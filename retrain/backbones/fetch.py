"""Fetch one file over HTTP: whole and checked, or not at all; what a broken connection left is gone on from.

Beside the target lie meanwhile ``<target>.part``, what has come so far, and ``<target>.part.json``, which version of
the file that is a part of. Only if the server still has that version is it gone on from; otherwise it is begun anew.
"""

from __future__ import annotations

import errno
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from retrain import fsio
from retrain.backbones.part import Job
from retrain.console import Console, printable
from retrain.errors import WeightsError

if TYPE_CHECKING:
    from email.message import Message
    from http.client import HTTPResponse
    from urllib.error import HTTPError
    from urllib.request import OpenerDirector

# urllib.request and http.client are imported where they are used: 0.17 s, and needed once in a backbone's life.

_CHUNK_BYTES = 1 << 16
_MAX_BYTES = 1_000_000_000
_MB = 1_000_000
_PAUSES_S = (0.5, 1.0, 2.0)  # before each further try
_LOCK_TIMEOUT_S = 3600.0  # the other run's line may be slow; a killed run gives its lock up at once
_ADVICE = {
    403: "; the publisher, or a proxy on the way, does not allow it from here",
    404: "; it is not there, or no longer",
    407: "; give the proxy's user and password in HTTPS_PROXY",
}


class FetchError(WeightsError):
    """A file could not be fetched; the text begins with its address: what was expected, what came, what to do."""


class _ContentError(FetchError):
    """What came is not the file; it is of no use for going on."""


class _BrokenError(Exception):
    """The connection gave out.

    Args:
        text: how.
        reached: whether a server was there at all, so that another try may get further.
    """

    def __init__(self, text: str, *, reached: bool) -> None:
        self.reached = reached
        super().__init__(text)


def fetch(
    url: str,
    target: Path,
    *,
    console: Console,
    checksum: str = "",
    timeout_s: float = 10.0,
    max_bytes: int = _MAX_BYTES,
    magic: bytes | None = None,
) -> None:
    """Fetch a file unless it is there already, going on where an earlier try or run stopped.

    Redirects are followed and the proxy variables of the environment honoured. Runs that want the same target wait for
    each other, and one of them fetches. Ctrl-C keeps what has come.

    Args:
        url: http or https.
        target: where it goes, whole; its folder is made.
        console: shows the progress, in MB of 1,000,000 bytes.
        checksum: the published MD5 or SHA-256, hexadecimal; empty where none is published.
        timeout_s: how long the server may send nothing.
        max_bytes: the largest size that is believed.
        magic: how the file begins.

    Raises:
        FetchError: it could not be had, is not what was expected, or could not be written.
        RetrainError: another process has been fetching it for an hour.
    """
    job = Job(url, target, console, checksum.lower(), timeout_s, max_bytes, magic or b"")
    if not url.lower().startswith(("http://", "https://")):
        raise FetchError(f"{url}: expected an address that begins with https:// or http://")
    try:
        with fsio.locked(target, timeout_s=_LOCK_TIMEOUT_S):
            if not target.is_file():
                _fetch_locked(job)
    except OSError as error:  # of the disk; those of the network are caught where they arise
        raise FetchError(f"{url}: {_disk_trouble(job, error)}") from error


def _fetch_locked(job: Job) -> None:
    try:
        _download(job)
        _check_whole(job)
    except _ContentError:
        job.discard()
        raise
    fsio.move(job.part, job.target)
    fsio.remove(job.sidecar)


def _download(job: Job) -> None:
    """Try until the part is complete. A server that was never reached is asked once: the machine may be offline."""
    reached = False
    for pause_s in (*_PAUSES_S, None):
        try:
            _try_once(job)
            return
        except _BrokenError as error:
            reached = reached or error.reached
            if pause_s is None or not reached:
                raise FetchError(f"{job.url}: {error}{_kept(job)}") from error
            time.sleep(pause_s)


def _kept(job: Job) -> str:
    have = job.trusted_bytes() if job.validator() else 0
    return f"; the {have} bytes that came are kept, run again to go on from there" if have else ""


def _try_once(job: Job) -> None:
    validator = job.validator()
    have = job.trusted_bytes() if validator else 0
    with _open(job, have, validator) as answer:
        total = _total_bytes(job, answer, have, validator)
        have = have if answer.status == 206 else 0
        _check_room(job, total, have)
        with fsio.open_partial(job.part) as file:
            file.truncate(have)
            if not have:
                validator = _validator(answer.headers)
                job.note(validator, 0)
            try:
                _receive(job, answer, file, have, total)
            except BaseException:
                fsio.sync(file)
                job.note(validator, job.size())
                raise
            fsio.sync(file)


def _validator(headers: Message) -> str:
    # A weak ETag ("W/...") does not promise equal bytes, and If-Range may not hold one.
    tag = headers.get("ETag", "")
    return str(headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag)


def _opener() -> OpenerDirector:
    """Make an opener for http and https only: the usual one would follow a redirect to ftp."""
    from urllib import request

    proxies = {scheme: proxy for scheme, proxy in request.getproxies().items() if scheme in ("http", "https")}
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(proxies),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _open(job: Job, have: int, validator: str) -> HTTPResponse:
    from http.client import HTTPException, InvalidURL
    from urllib.error import HTTPError, URLError
    from urllib.request import Request

    headers = {"User-Agent": "retrain"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        answer: HTTPResponse = _opener().open(Request(job.url, headers=headers), timeout=job.timeout_s)  # noqa: S310
    except HTTPError as error:
        error.close()
        raise _refusal(job, error) from error
    except URLError as error:
        raise _BrokenError(_network_trouble(job, error.reason), reached=False) from error
    except (InvalidURL, ValueError) as error:
        raise FetchError(f"{job.url}: expected an address, got one that cannot be used: {error}") from error
    except (OSError, HTTPException) as error:
        # A server that hangs up may do better next time; one that is silent is as good as not there.
        raise _BrokenError(_network_trouble(job, error), reached=not isinstance(error, TimeoutError)) from error
    return answer


def _refusal(job: Job, error: HTTPError) -> Exception:
    said = printable(" ".join(f"{error.code} {error.reason}".split()))
    if error.code == 416:  # the part is longer than the file
        job.discard()
        return _BrokenError(f"expected the rest of the file, got {said}", reached=True)
    if error.code >= 500:
        return _BrokenError(f"expected the file, got {said} from the server; try again later", reached=True)
    if error.code < 400:
        return FetchError(f"{job.url}: expected the file, got a redirect that is not followed: {said}")
    return FetchError(f"{job.url}: expected the file, got {said}{_ADVICE.get(error.code, '')}")


def _network_trouble(job: Job, reason: object) -> str:
    if isinstance(reason, socket.gaierror):
        return "its server's name (or the proxy's) could not be resolved; check the network and HTTPS_PROXY"
    if isinstance(reason, ConnectionRefusedError):
        return "its server (or the proxy) refused the connection; check the address and HTTPS_PROXY"
    if isinstance(reason, TimeoutError):
        return f"expected the file, but nothing came for {job.timeout_s:g} s; check the network or try again later"
    # e.g. "unknown url type: ftp" after a redirect, a proxy's "Tunnel connection failed", a certificate's fault
    return f"expected the file, but the connection failed: {printable(str(reason) or type(reason).__name__)}"


def _total_bytes(job: Job, answer: HTTPResponse, have: int, validator: str) -> int | None:
    """Read from an answer how large the whole file is, None where it does not say."""
    if answer.status == 200:
        total = answer.length
    elif answer.status == 206 and have:
        total = _total_of_rest(answer, have, validator)
        if total is None:
            job.discard()
            raise _BrokenError("expected the rest of the file, got a part of another", reached=True)
    else:
        raise FetchError(f"{job.url}: expected the file, got the answer {answer.status} without it")
    if total is not None and total > job.max_bytes:
        raise _ContentError(f"{job.url}: expected at most {job.max_bytes} bytes, got a file of {total}")
    return total


def _total_of_rest(answer: HTTPResponse, have: int, validator: str) -> int | None:
    """Read the whole size from a partial answer; None if that answer does not continue what is here."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    if match is None or _validator(answer.headers) not in ("", validator):
        return None
    first, last, total = map(int, match.groups())
    fits = first == have <= last < total and answer.length in (None, last - first + 1)
    return total if fits else None


def _check_room(job: Job, total: int | None, have: int) -> None:
    free = shutil.disk_usage(job.target.parent).free
    if total is not None and total - have > free:
        raise FetchError(
            f"{job.url}: expected {_megabytes(total - have)} MB free in {job.target.parent}, got {free // _MB} MB; "
            "make room and run again"
        )


def _receive(job: Job, answer: HTTPResponse, file: BinaryIO, have: int, total: int | None) -> None:
    title = f"Fetching {job.target.name}" + (" (the rest)" if have else "")
    start = have
    with job.console.stage(title, _megabytes(total - have) if total else 0, "MB") as advance:
        for chunk in _chunks(job, answer):
            file.write(chunk)
            if have < len(job.magic):
                _check_start(job, file, answer.headers)
            advance_mb = (have + len(chunk) - start) // _MB - (have - start) // _MB
            have += len(chunk)
            if have > (total or job.max_bytes):
                raise _ContentError(f"{job.url}: expected at most {total or job.max_bytes} bytes, got more")
            if advance_mb:
                advance(advance_mb)
    if total is not None and have < total:
        raise _BrokenError(f"expected {total} bytes, got {have} before the connection broke", reached=True)


def _chunks(job: Job, answer: HTTPResponse) -> Iterator[bytes]:
    from http.client import HTTPException

    try:
        while chunk := answer.read1(_CHUNK_BYTES):  # as it comes: read() would lose what came before a break
            yield chunk
    except (OSError, HTTPException) as error:
        raise _BrokenError(_network_trouble(job, error), reached=True) from error


def _megabytes(count: int) -> int:
    return -(-count // _MB)


def _check_start(job: Job, file: BinaryIO, headers: Message) -> None:
    file.seek(0)
    start = file.read(len(job.magic))
    if not job.magic.startswith(start):
        came = f"{start!r} ({printable(headers.get_content_type())}; a proxy's page?)"
        raise _ContentError(f"{job.url}: expected a file that begins with {job.magic!r}, got {came}")


def _check_whole(job: Job) -> None:
    if job.size() < max(1, len(job.magic)):
        raise _ContentError(f"{job.url}: expected a file, got {job.size()} bytes")
    fault = fsio.checksum_fault(job.part, job.checksum)
    if fault:
        raise _ContentError(f"{job.url}: {fault}; it was not kept, try again")


def _disk_trouble(job: Job, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"expected room for it in {job.target.parent}, but the disk is full; make room and run again{_kept(job)}"
    return f"expected to write {job.target}, but: {error.strerror or error}"
