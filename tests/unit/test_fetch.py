import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from retrain import fsio
from retrain.backbones import fetch as fetch_module
from retrain.backbones.fetch import FetchError, fetch
from retrain.console import Console
from retrain.errors import WeightsError

MAGIC = b"\x89HDF\r\n\x1a\n"
BODY = MAGIC + bytes(range(256)) * 1000
OTHER = MAGIC + bytes(range(255, -1, -1)) * 1000
HALF = len(BODY) // 2
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
TAG = '"one"'


class Server(ThreadingHTTPServer):
    """Gives each request the next answer of a list; the last one again and again."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests = [], []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/weights.h5"

    def handle_error(self, request, client_address):
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.requests.append(self)
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_):
        pass

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


def whole(body=BODY, sends=None, **headers):
    """All of a body, or the first `sends` bytes of it; ranges are ignored."""

    def answer(handler):
        handler.head(200, **({"Content_Length": len(body), "ETag": TAG} | headers))
        handler.wfile.write(body[:sends])

    return answer


def ranged(body=BODY, sends=None, tag=TAG):
    """As a server that supports Range and If-Range."""

    def answer(handler):
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked is None or handler.headers["If-Range"] != tag:
            whole(body, sends, ETag=tag)(handler)
        else:
            part(int(asked[1]), len(body) - 1, len(body), body, tag)(handler)

    return answer


def part(first, last, total, body=BODY, tag=TAG, status=206, **headers):
    """A partial answer, whatever was asked."""

    def answer(handler):
        facts = {"Content_Range": f"bytes {first}-{last}/{total}", "Content_Length": last + 1 - first, "ETag": tag}
        handler.head(status, **(facts | headers))
        handler.wfile.write(body[first : last + 1])

    return answer


def status(code, **headers):
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def hang_up(handler):
    handler.close_connection = True


def hang(handler):
    handler.server.released.wait(5)


def half_then_hang(handler):
    whole(sends=HALF)(handler)
    hang(handler)


def chunked(handler, body=BODY, end=b"0\r\n\r\n"):
    handler.head(200, Transfer_Encoding="chunked", ETag=TAG)
    handler.wfile.write(b"%x\r\n" % len(body) + body + b"\r\n" + end)


def broken_chunks(handler):
    chunked(handler, BODY[:HALF], end=b"")


@pytest.fixture(autouse=True)
def _no_proxies_and_no_pauses(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(fetch_module, "_PAUSES_S", (0, 0, 0))


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "models" / "weights.h5"


@pytest.fixture
def get(server, target):
    """Fetch through a list of answers."""

    def get(*answers, url=server.url, **options):
        server.answers[:] = answers
        fetch(url, target, console=Console(quiet=True), **({"magic": MAGIC, "timeout_s": 5} | options))

    return get


@pytest.fixture
def fails(get):
    """Fetch in vain; returns what is said."""

    def fails(*answers, **options):
        with pytest.raises(FetchError) as caught:
            get(*answers, **options)
        return str(caught.value)

    return fails


def names(target):
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != ".lock")


def ranges(server):
    return [handler.headers["Range"] for handler in server.requests]


KEPT = ["weights.h5.part", "weights.h5.part.json"]


# What comes whole


@pytest.mark.parametrize(
    "answer",
    [whole(), ranged(), chunked, lambda handler: (handler.head(200), handler.wfile.write(BODY))],
    ids=["Content-Length", "ranges supported", "chunked", "no length at all"],
)
def test_a_file_comes_whole_and_leaves_nothing_beside(get, server, target, answer):
    get(answer, checksum=MD5.upper())
    assert target.read_bytes() == BODY
    assert names(target) == ["weights.h5"]
    assert ranges(server) == [None]


def test_a_file_that_is_there_is_not_asked_for(get, server, target):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    get(status(500))
    assert (target.read_bytes(), server.requests) == (b"mine", [])


def test_the_name_appears_after_the_bytes_are_on_the_disk(get, monkeypatch):
    order = []
    fsync, move = os.fsync, fsio.move
    monkeypatch.setattr(os, "fsync", lambda number: (order.append(os.fstat(number).st_ino), fsync(number))[1])
    monkeypatch.setattr(
        fsio, "move", lambda source, to: (order.extend(["move", source.stat().st_ino]), move(source, to))
    )
    get(whole())
    moved = order.index("move")
    assert order[moved - 1] == order[moved + 1]


def test_a_redirect_is_followed(get, server, target):
    get(status(302, Location="/elsewhere.h5"), whole())
    assert target.read_bytes() == BODY
    assert server.requests[1].path == "/elsewhere.h5"


def test_the_proxy_of_the_environment_is_asked(get, server, target, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    get(whole(), url="http://weights.example/file.h5")
    assert target.read_bytes() == BODY
    assert server.requests[0].path == "http://weights.example/file.h5"


class Recorder(Console):
    @contextlib.contextmanager
    def stage(self, title, total, unit):
        self.shown, self.steps = f"{title}: {total} {unit}", []
        yield self.steps.append


def test_progress_is_shown_in_whole_megabytes(server, target):
    console = Recorder()
    server.answers.append(whole(bytes(2_500_000)))
    fetch(server.url, target, console=console)
    assert console.shown == "Fetching weights.h5: 3 MB"
    assert sum(console.steps) == 2


def test_progress_of_the_rest_counts_the_rest(server, target):
    console = Recorder()
    server.answers[:] = [whole(bytes(2_500_000), sends=1_400_000), ranged(bytes(2_500_000))]
    fetch(server.url, target, console=console)
    assert console.shown == "Fetching weights.h5 (the rest): 2 MB"
    assert sum(console.steps) == 1


# What breaks on the way


@pytest.mark.parametrize("answer", [whole(sends=HALF), broken_chunks], ids=["Content-Length", "chunked"])
def test_a_broken_connection_is_gone_on_from_where_it_broke(get, server, target, answer):
    get(answer, ranged(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={HALF}-"]
    assert server.requests[1].headers["If-Range"] == TAG
    assert names(target) == ["weights.h5"]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(get, fails, server, target):
    said = fails(whole(sends=HALF))
    assert f"expected {len(BODY)} bytes, got {HALF} before the connection broke" in said
    assert f"the {HALF} bytes that came are kept" in said
    assert names(target) == KEPT
    server.requests.clear()
    get(ranged(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [f"bytes={HALF}-"]


def test_without_range_support_it_is_begun_anew(get, server, target):
    get(whole(sends=HALF), whole(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_rest_that_comes_in_pieces_is_put_together(get, server, target):
    get(whole(sends=100), part(100, HALF - 1, len(BODY)), ranged(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [None, "bytes=100-", f"bytes={HALF}-"]


@pytest.mark.parametrize("headers", [{"ETag": "W/weak"}, {"ETag": ""}])
def test_a_part_of_an_unknown_version_is_not_gone_on_from(get, server, target, headers):
    get(whole(sends=HALF, **headers), ranged())
    assert target.read_bytes() == BODY
    assert ranges(server) == [None, None]


def test_the_date_of_change_will_do_where_there_is_no_strong_tag(get, server):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    get(whole(sends=HALF, ETag="W/weak", Last_Modified=date), ranged())
    assert server.requests[1].headers["If-Range"] == date


def test_a_file_that_changed_between_two_tries_is_begun_anew(get, server, target):
    get(whole(sends=HALF), ranged(OTHER, tag='"two"'))
    assert target.read_bytes() == OTHER
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        part(HALF, len(BODY) - 1, len(BODY), OTHER, '"two"'),
        part(HALF - 1, len(BODY) - 1, len(BODY)),
        part(HALF, len(BODY) - 1, HALF),
        part(HALF, len(BODY) - 1, len(BODY), Content_Length=7),
        part(HALF, len(BODY) - 1, "*"),
        part(0, 0, 0, status=416),
    ],
    ids=["another version", "another start", "past the end", "another length", "no total", "416"],
)
def test_a_rest_that_does_not_fit_is_begun_anew(get, server, target, answer):
    get(whole(sends=HALF), answer, whole(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={HALF}-", None]


@pytest.mark.parametrize(
    "sidecar",
    [None, "", "{", "[]", "{}", json.dumps({"url": "http://other/", "validator": TAG})],
    ids=["none", "empty", "half", "a list", "no facts", "another address"],
)
def test_a_part_whose_origin_is_not_known_is_begun_anew(get, server, target, sidecar):
    target.parent.mkdir()
    (target.parent / KEPT[0]).write_bytes(OTHER[:HALF])
    if sidecar is not None:
        (target.parent / KEPT[1]).write_text(sidecar)
    get(ranged(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [None]
    assert names(target) == ["weights.h5"]


@pytest.mark.parametrize("trouble", [status(500), status(503), hang_up], ids=["500", "503", "hangs up"])
def test_a_trouble_that_passes_is_got_over(get, server, target, trouble):
    get(trouble, trouble, whole())
    assert target.read_bytes() == BODY
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "text", "tries"),
    [
        (status(500), "expected the file, got 500 Internal Server Error from the server; try again later", 4),
        (hang_up, "expected the file, but the connection failed: Remote end closed connection without response", 4),
        (status(403), "expected the file, got 403 Forbidden; the publisher, or a proxy on the way, does not allow", 1),
        (status(404), "expected the file, got 404 Not Found; it is not there, or no longer", 1),
        (status(407), "got 407 Proxy Authentication Required; give the proxy's user and password", 1),
        (status(410), "expected the file, got 410 Gone", 1),
        (status(204), "expected the file, got the answer 204 without it", 1),
        (part(0, 9, 10), "expected the file, got the answer 206 without it", 1),
        (whole(b""), "expected a file, got 0 bytes", 1),
        (whole(MAGIC[:3]), "expected a file, got 3 bytes", 1),
    ],
)
def test_a_trouble_that_stays_is_said(fails, server, target, trouble, text, tries):
    said = fails(trouble)
    assert said.startswith(f"{server.url}: ")
    assert text in said
    assert "\n" not in said
    assert len(server.requests) == tries
    assert names(target) == []


def test_a_reason_that_could_steer_the_terminal_is_escaped(fails):
    assert "404 \\x1b[31mred" in fails(
        lambda handler: (handler.send_response(404, "\x1b[31mred"), handler.end_headers())
    )


def test_a_server_that_is_silent_from_the_start_is_asked_once(fails, server):
    assert "nothing came for 0.1 s" in fails(hang, timeout_s=0.1)
    assert len(server.requests) == 1


def test_a_server_that_falls_silent_is_asked_again_and_what_came_is_kept(get, fails, server, target):
    said = fails(half_then_hang, timeout_s=0.1)
    assert f"nothing came for 0.1 s; check the network or try again later; the {HALF} bytes that came are kept" in said
    assert len(server.requests) == 4
    get(ranged(), checksum=MD5)
    assert target.read_bytes() == BODY


def test_ctrl_c_keeps_what_came(get, server, target, monkeypatch):
    chunks = fetch_module._chunks

    def interrupted(job, answer):
        yield next(chunks(job, answer))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, "_chunks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(ranged())
    assert names(target) == KEPT
    got = (target.parent / KEPT[0]).stat().st_size
    get(ranged(), checksum=MD5)
    assert target.read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={got}-"]
    assert got > 0


# What cannot be reached


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_refused_connection_is_said(fails, target):
    said = fails(status(500), url=f"http://127.0.0.1:{closed_port()}/")
    assert "its server (or the proxy) refused the connection" in said
    assert names(target) == []


def test_a_name_that_does_not_resolve_is_said_and_asked_for_once(fails, monkeypatch):
    asked = []

    def unknown(*words, **_):
        asked.append(words[0])
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "name (or the proxy's) could not be resolved" in fails(status(500), url="http://weights.invalid/")
    assert asked == ["weights.invalid"]


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("file:///etc/passwd", "got a redirect that is not followed: 302 "),
        ("ftp://127.0.0.1/x", "the connection failed: unknown url type: ftp"),
        ("/weights.h5", "got a redirect that is not followed: 302 "),
    ],
    ids=["file", "ftp", "loop"],
)
def test_a_redirect_to_elsewhere_or_in_circles_is_refused(fails, target, place, text):
    said = fails(status(302, Location=place))
    assert text in said
    assert "\n" not in said
    assert "\\n" not in said
    assert names(target) == []


def test_a_proxy_for_ftp_does_not_make_ftp_followed(fails, server, monkeypatch):
    monkeypatch.setenv("ftp_proxy", server.url)
    assert "unknown url type: ftp" in fails(status(302, Location="ftp://weights.example/x"), whole())
    assert len(server.requests) == 1


def test_what_is_wrong_with_an_encrypted_connection_is_said(fails, server):
    assert "expected the file, but the connection failed: [SSL" in fails(
        whole(), url=server.url.replace("http", "https")
    )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd", "data:,x", ""])
def test_other_addresses_than_http_are_refused(fails, target, url):
    assert "expected an address that begins with https:// or http://" in fails(status(500), url=url)
    assert not target.parent.exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/", "http://127.0.0.1/a b", "http://[::1/"])
def test_a_misspelt_address_is_said(fails, url):
    assert "expected an address, got one that cannot be used" in fails(status(500), url=url)


# What is not the file


def test_a_wrong_checksum_is_said_and_nothing_kept(fails, server, target):
    got = hashlib.md5(OTHER, usedforsecurity=False).hexdigest()
    assert f"expected a file with the MD5 {MD5}, got {got}" in fails(whole(OTHER), checksum=MD5)
    assert len(server.requests) == 1
    assert names(target) == []
    sha256 = hashlib.sha256(BODY).hexdigest()
    assert f"expected a file with the SHA-256 {sha256}, got" in fails(whole(OTHER), checksum=sha256)


def test_what_a_server_sends_beyond_the_length_it_named_is_no_part_of_the_file(get, fails, target):
    longer = whole(BODY + b"more", Content_Length=len(BODY))
    assert "expected a file with the MD5" in fails(longer, checksum="0" * 32)
    get(longer, checksum=MD5)
    assert target.read_bytes() == BODY


def test_a_file_shorter_than_its_named_length_is_never_taken(fails, target):
    assert f"expected {len(BODY) + 1} bytes, got {len(BODY)}" in fails(whole(Content_Length=len(BODY) + 1))
    assert names(target) == KEPT


def test_a_rest_longer_than_the_file_is_no_part_of_it(fails, target):
    def longer(handler):
        handler.head(206, Content_Range=f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}")
        handler.wfile.write(BODY[HALF:] + b"more")

    assert f"expected at most {len(BODY)} bytes, got more" in fails(whole(sends=HALF), longer)
    assert names(target) == []


@pytest.mark.parametrize("answer", [whole(), chunked], ids=["named", "not named"])
def test_a_file_over_the_limit_is_refused(fails, target, answer):
    assert "expected at most 1000 bytes, got" in fails(answer, max_bytes=1000)
    assert names(target) == []


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Please log in", b"<"])
def test_a_proxys_page_in_place_of_the_file_is_seen_by_its_start(fails, server, target, page):
    said = fails(whole(page, Content_Type="text/html"))
    assert f"expected a file that begins with {MAGIC!r}, got {page[:8]!r} (text/html; a proxy's page?)" in said
    assert len(server.requests) == 1
    assert names(target) == []


def test_a_start_that_comes_byte_by_byte_is_waited_for(get, target):
    get(whole(sends=3), part(3, 4, len(BODY)), ranged(), checksum=MD5)
    assert target.read_bytes() == BODY


def test_a_wrong_start_that_comes_byte_by_byte_is_seen(fails, server, target):
    page = MAGIC[:3] + b"<p>Please log in"
    assert f"got {page[:8]!r}" in fails(whole(page, sends=3), part(3, len(page) - 1, len(page), page))
    assert len(server.requests) == 2
    assert names(target) == []


# What the disk says


def test_too_little_room_is_said_before_anything_is_written(fails, target, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert f"expected 1 MB free in {target.parent}, got 0 MB; make room" in fails(whole())
    assert names(target) == []


def test_a_disk_that_fills_up_is_said_and_what_came_is_kept(get, fails, target, monkeypatch):
    fsync = os.fsync

    def full(number):
        if os.fstat(number).st_size == HALF:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        said = fails(whole(sends=HALF), checksum=MD5)
    assert f"expected room for it in {target.parent}, but the disk is full; make room and run again" in said
    assert f"the {HALF} bytes that came are kept" in said
    get(ranged(), checksum=MD5)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(("checksum", "asked"), [(MD5, f"bytes={HALF}-"), ("", None)])
def test_bytes_that_were_not_synced_are_gone_on_from_only_if_a_checksum_will_tell(
    get, fails, server, target, checksum, asked
):
    # A loss of power may make zeros of them, and the official weights of MobileNet 1 and 2 have no published checksum.
    fails(whole(sends=HALF), checksum=checksum)
    note = target.with_name(KEPT[1])
    assert json.loads(note.read_text())["synced"] == HALF
    note.write_text(json.dumps({**json.loads(note.read_text()), "synced": 0}))
    target.with_name(KEPT[0]).write_bytes(BODY[:HALF] if checksum else bytes(HALF))
    get(ranged(), checksum=checksum)
    assert target.read_bytes() == BODY
    assert ranges(server)[-1] == asked


def test_a_folder_that_cannot_be_made_is_said(fails, server, target):
    target.parent.write_bytes(b"a file where the folder should be")
    assert f"expected to write {target}, but: " in fails(whole())
    assert server.requests == []


def test_a_failure_is_one_of_the_weights():
    assert issubclass(FetchError, WeightsError)


# Who fetches at the same time


def test_of_two_threads_one_fetches(get, server, target):
    def slowly(handler):
        server.released.wait(0.1)
        whole()(handler)

    threads = [threading.Thread(target=get, args=(slowly,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert target.read_bytes() == BODY


def test_of_two_processes_one_fetches(server, target):
    code = (
        "import sys; from pathlib import Path; from retrain.console import Console;"
        "from retrain.backbones.fetch import fetch;"
        "fetch(sys.argv[1], Path(sys.argv[2]), console=Console(quiet=True))"
    )
    other_waits = threading.Event()

    def slowly(handler):
        other_waits.wait(5)
        whole()(handler)

    server.answers.append(slowly)
    child = subprocess.Popen([sys.executable, "-c", code, server.url, str(target)])
    while not server.requests and child.poll() is None:
        server.released.wait(0.005)
    thread = threading.Thread(target=fetch, args=(server.url, target), kwargs={"console": Console(quiet=True)})
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    other_waits.set()
    thread.join()
    assert child.wait() == 0
    assert len(server.requests) == 1
    assert target.read_bytes() == BODY


# The file that grows


def test_a_partial_file_is_gone_on_with_at_its_end_and_can_be_begun_anew(tmp_path):
    path = tmp_path / "new" / "file.part"
    for data in (b"one", b"two"):
        with fsio.open_partial(path) as file:
            file.write(data)
    with fsio.open_partial(path) as file:
        file.seek(0)
        assert file.read() == b"onetwo"
        file.truncate(0)
        file.write(b"three")
    assert path.read_bytes() == b"three"
