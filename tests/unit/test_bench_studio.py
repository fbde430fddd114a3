"""The arithmetic, the client and the layout of bench/studio.py; what it measures is not tested here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from PIL import Image
from support import BENCH, bench_on_path

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 11\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def _bench_on_path():
    with bench_on_path():
        yield


class Server:
    """Answers whole requests, each with the same bytes, which come in two pieces."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.bodies = answer, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one):
        with one, one.makefile("rb") as file:
            while file.readline():
                length = 0
                while (line := file.readline()) != b"\r\n":
                    name, value = line.split(b": ")
                    length = int(value) if name == b"Content-Length" else length
                body = file.read(length)
                with self._lock:
                    self.bodies.append(body)
                middle = len(self.answer) - 3
                one.sendall(self.answer[:middle])
                one.sendall(self.answer[middle:])

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def serve():
    made = []

    def start(answer):
        made.append(Server(answer))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def pictures(tmp_path):
    found = []
    for number in range(3):
        found.append(tmp_path / f"{number}.jpg")
        found[-1].write_bytes(bytes([number]) * (number + 1))
    return found


def test_quantiles_are_values_that_so_many_are_not_above():
    from studio import quantile

    values = list(range(1, 101))
    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.99) == 99
    assert quantile(values, 1.0) == 100
    assert quantile([7.0], 0.99) == 7
    assert quantile([3, 1, 2], 0.5) == 2


def test_p50_and_p99_are_said_with_the_largest():
    from studio import p50_p99

    assert p50_p99([float(one) for one in range(1, 201)]) == "100.5 / 198.0 ms (largest 200, 200 requests)"


@pytest.mark.parametrize(("text", "wanted"), [("loop", ("loop",)), ("api,memory", ("api", "memory"))])
def test_parts_are_chosen_by_name(text, wanted):
    from studio import _parts

    assert _parts(text) == wanted


def test_a_part_that_there_is_not_is_refused():
    import argparse

    from studio import _parts

    with pytest.raises(argparse.ArgumentTypeError, match="loop,api,pages,memory, got pagse"):
        _parts("api,pagse")


def test_the_client_sends_as_many_as_it_is_told(serve, pictures):
    from studio_serve import classify

    server = serve(OK + b'{"label":1}')
    found = classify(server.port, pictures, 2, requests=20)
    assert len(found["ms"]) == 20
    assert len(server.bodies) == 20
    assert set(server.bodies) == {path.read_bytes() for path in pictures}
    assert found["wall_s"] > 0


def test_the_client_ends_when_its_time_is_over(serve, pictures):
    from studio_serve import classify

    server = serve(OK + b'{"label":1}')
    found = classify(server.port, pictures, 2, seconds=0.2)
    assert found["wall_s"] >= 0.2
    assert len(found["ms"]) == len(server.bodies) > 1


def test_an_answer_that_is_no_200_ends_the_benchmark(serve, pictures):
    from studio_serve import classify

    server = serve(OK.replace(b"200 OK", b"503 Busy") + b'{"error":1}')
    with pytest.raises(SystemExit, match=r"expected 200, got .*503 Busy"):
        classify(server.port, pictures, 2, requests=4)


def test_an_answer_without_a_length_ends_the_benchmark():
    from studio_ask import length_in

    assert length_in(b"HTTP/1.1 200 OK\r\nContent-Length: 12") == 12
    with pytest.raises(SystemExit, match="Content-Length"):
        length_in(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")


def test_large_folders_are_links_made_once(tmp_path):
    from studio import many_links

    for label in ("red", "blue"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (4, 3)).save(tmp_path / "photos" / label / f"{number}.jpg")
    place = many_links(tmp_path, 11)
    found = sorted(place.rglob("*.jpg"))
    assert len(found) == 11
    assert {path.parent.name for path in found} == {"red", "blue"}
    assert len({path.stat().st_ino for path in found}) == 4
    before = place.stat().st_mtime_ns
    assert many_links(tmp_path, 11) == place
    assert place.stat().st_mtime_ns == before
    assert not (tmp_path / "making_11").exists()


def test_the_pictures_that_are_sent_are_spread_over_the_classes(tmp_path):
    from studio import _pictures

    for label in ("red", "blue"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(40):
            (tmp_path / "photos" / label / f"{number}.jpg").touch()
    found = _pictures(tmp_path)
    assert len(found) == 16
    assert {path.parent.name for path in found} == {"red", "blue"}


def test_a_process_says_its_memory_and_its_processor_time():
    from studio_serve import Studio

    words = [sys.executable, "-c", "print('here', flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        server = Studio(process, "http://127.0.0.1:81", 0.1)
        assert server.port == 81
        assert 1 < server.mb() < 1000
        assert server.cpu_s() >= 0
        process.communicate("\n")


def test_a_studio_that_does_not_open_is_said_with_its_words():
    from studio_serve import _address

    words = [sys.executable, "-c", "print('no such folder')"]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process,
        pytest.raises(SystemExit, match="no such folder"),
    ):
        _address(process)


def test_the_client_is_no_part_of_the_project(pictures, serve):
    server = serve(OK + b'{"label":1}')
    words = [str(BENCH / "studio_ask.py"), str(server.port), "1", str(pictures[0]), "--requests", "1"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", *words],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert len(json.loads(done.stdout)["ms"]) == 1
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "socket" in imported
    assert not imported & {"retrain", "numpy", "http", "urllib3"}
