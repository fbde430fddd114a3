"""``python -m retrain studio`` as a person types it: what it says, what it refuses, how it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import PHOTOS, environment, python
from studio_rooms import Command, raw, status_of

from retrain.commands.studio import is_loopback, names_of
from retrain.studio import serving

EVERY = "0.0.0.0"  # noqa: S104 - all addresses of this machine, behind a token

# From the signal to the end: two seconds, and what a machine needs that does other things as well.
END_S = 2.0 + 8.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, and no run yet."""
    place = tmp_path_factory.mktemp("command")
    shutil.copytree(PHOTOS, place / "photos")
    return place


def start(folder: Path, *words: str) -> Command:
    return Command(["--image_dir", "photos", "--graph", "out/model.pb", *words], folder)


def listen(studio: Command, count: int, stack: contextlib.ExitStack) -> None:
    """Listen to events, as open pages do."""
    for _ in range(count):
        line = stack.enter_context(socket.create_connection(studio.address, timeout=10))
        line.sendall(b"GET /studio/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200" in line.recv(4096)


def children_of(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_soon_while_pages_listen(folder, number, code):
    with start(folder) as studio, contextlib.ExitStack() as stack:
        assert status_of(studio.ask("GET", "/api/health")) == 200
        listen(studio, 5, stack)
        half = stack.enter_context(socket.create_connection(studio.address))
        half.sendall(
            b"POST /api/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\nContent-Type: image/png\r\n\r\n1"
        )
        began = time.monotonic()
        studio.process.send_signal(number)
        assert studio.ended() == code, studio.said
        assert time.monotonic() - began < END_S
        assert "Traceback" not in studio.said
        assert "Cancel" not in studio.said
        assert ("nothing is lost" in studio.said) == (code == 0)


def test_a_run_that_goes_on_ends_with_it(folder):
    with start(folder) as studio:
        child = _started(studio)
        began = time.monotonic()
        studio.process.send_signal(signal.SIGINT)
        assert studio.ended() in (0, 130), studio.said
        assert time.monotonic() - began < END_S
        assert "Traceback" not in studio.said
        _gone(child)


def test_a_run_that_goes_on_ends_with_it_also_where_it_is_killed(folder):
    with start(folder) as studio:
        child = _started(studio)
        studio.process.kill()
        studio.ended()
        _gone(child)


def _started(studio: Command) -> int:
    """Have the studio start a run; its process, once it is at work."""
    before = set(children_of(studio.process.pid))
    found = studio.ask("POST", "/studio/train", {"how_many_training_steps": 1_000_000})
    assert status_of(found) == 202, found
    [child] = set(children_of(studio.process.pid)) - before
    until = time.monotonic() + 30
    while b'"lines":[]' in studio.ask("GET", "/studio/train"):
        assert time.monotonic() < until
        time.sleep(0.1)
    return child


def _gone(pid: int, within_s: float = 5) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} outlived the studio")


def test_the_page_opens_without_a_run_and_only_on_this_machine(folder):
    with start(folder) as studio:
        assert studio.host == "127.0.0.1"
        assert studio.token == ""
        listening = [
            line
            for line in Path("/proc/net/tcp").read_text().splitlines()
            if f":{studio.address[1]:04X} 00000000:0000 0A" in line
        ]
        assert [line.split()[1].split(":")[0] for line in listening] == ["0100007F"]
        for path in ("/", "/train", "/review", "/try", "/use", "/studio/state", "/api/health"):
            assert status_of(studio.ask("GET", path)) == 200, path


def test_bound_elsewhere_it_wants_the_token_that_it_prints(folder):
    with start(folder, "--host", EVERY) as studio:
        assert len(studio.token) >= 43
        assert status_of(studio.ask("GET", "/")) == 401
        found = raw(
            studio.address,
            f"GET /?token={studio.token} HTTP/1.1\r\nHost: {studio.host}\r\nConnection: close\r\n\r\n".encode(),
        )
        assert status_of(found) == 303
        assert studio.host == socket.gethostname()


def test_a_token_can_be_given_and_is_then_wanted_here_too(folder):
    with start(folder, "--token", "0123456789abcdef") as studio:
        assert studio.token == "0123456789abcdef"  # noqa: S105
        assert status_of(studio.ask("GET", "/api/health")) == 401


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image_dir", "nowhere"], "expected --image_dir to be a folder on this machine, got nowhere"),
        (["--image_dir", "photos", "--port", "70000"], "expected 0 to 65535"),
        (["--image_dir", "photos", "--port", "x"], "--port"),
        (["--image_dir", "photos", "--token", "short"], "expected --token to be of 16 characters or more, got 5"),
        (["--image_dir", "photos", "--token", "a;b c\u00e9" * 5], "expected --token to be of letters"),
        (["--image_dir", "photos", "--host", ""], "expected --host"),
        (["--image_dir", "photos", "--host", "no-such-host.invalid"], "cannot listen on no-such-host.invalid"),
        (["--nonsense"], "--nonsense"),
        ([], "expected --image_dir"),
    ],
)
def test_what_cannot_be_is_refused_in_words(folder, monkeypatch, capsys, words, said):
    from retrain import cli

    monkeypatch.chdir(folder)
    assert cli.main(["studio", "--graph", "out/model.pb", "--no_browser", *words]) == 2
    out = capsys.readouterr()
    assert said in out.err + out.out
    assert "Traceback" not in out.err


def test_a_port_that_is_taken_is_refused_in_words(folder):
    with serving.bind("127.0.0.1", 0) as taken:
        words = [
            "--image_dir",
            "photos",
            "--graph",
            "out/model.pb",
            "--no_browser",
            "--port",
            str(taken.getsockname()[1]),
        ]
        found = python("-m", "retrain", "studio", *words, cwd=folder)
    assert found.returncode == 2
    assert "choose another --port" in found.stderr
    assert "Traceback" not in found.stderr


def test_without_the_extra_it_says_what_to_install(folder):
    code = (
        "import sys; [sys.modules.__setitem__(name, None) for name in ('starlette', 'starlette.applications', 'starlette.types')]; from retrain.cli import main; "
        "sys.exit(main(['studio', '--image_dir', 'photos', '--no_browser']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "needs the extra web, of which starlette is not installed" in found.stderr
    assert "retrain-photos[web]" in found.stderr


def test_help_names_every_flag():
    found = python("-m", "retrain", "studio", "--help")
    assert found.returncode == 0
    for flag in (
        "--image_dir",
        "--graph",
        "--host",
        "--port",
        "--allow_host",
        "--token",
        "--allow_urls",
        "--no_browser",
    ):
        assert flag in found.stdout


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("LOCALHOST", True),
     (EVERY, False), ("::", False), ("192.168.1.2", False), ("example.org", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_only_loopback_goes_without_a_token(host, is_here):
    assert is_loopback(host) is is_here


def test_of_all_addresses_it_knows_the_machine_by_its_name():
    names = names_of(EVERY)
    assert names[0] == socket.gethostname()
    assert EVERY in names
    assert names_of("studio.example.org") == ["studio.example.org"]
    assert names_of("::1") == ["::1"]


def test_nothing_heavy_is_imported_for_the_command_line():
    code = "import sys, retrain.cli, retrain.commands.studio; print([n for n in ('tensorflow', 'starlette', 'uvicorn') if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, cwd=os.sep
    )
    assert found.stdout.strip() == "[]"
