"""SECURITY.md says that nothing is sent anywhere: the kernel is asked which addresses whole commands speak to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import PHOTOS, environment

STRACE = shutil.which("strace")
# connect(3, {sa_family=AF_INET6, sin6_port=htons(53), ... inet_pton(AF_INET6, "2001:db8::1", ...
_ADDRESS = re.compile(r"sa_family=AF_INET6?,.*?\"([^\"]+)\"")
# What reports something to its makers often keeps still where it finds itself in somebody's CI.
_CI = re.compile(r"^(CI|CONTINUOUS_INTEGRATION|BUILD_.*|GITHUB_.*|GITLAB_.*|JENKINS_.*|TF_BUILD|ORT_.*|DO_NOT_TRACK)$")


def called(place: Path, *words: str | Path, code: int = 0) -> set[str]:
    """Run ``python WORDS`` and list the addresses of other machines that it, or a child of it, spoke to."""
    home, log = place / "home", place / "calls"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in environment().items() if not _CI.match(name)}
    watch = [str(STRACE), "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log)]
    done = subprocess.run(
        [*watch, sys.executable, *map(str, words)], cwd=place, env={**kept, "HOME": str(home)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    found = {match[1] for match in _ADDRESS.finditer(log.read_text(errors="replace"))}
    return {address for address in found if not address.startswith("127.") and address != "::1"}


@pytest.fixture
def place(tmp_path):
    if STRACE is None:
        pytest.skip("strace is not on this machine")
    if subprocess.run([STRACE, "-qq", "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let strace watch")
    return tmp_path


def test_a_word_to_another_machine_is_seen(place):
    # Of a range for examples (RFC 5737), and no packet leaves: UDP's connect only notes the address.
    talk = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    assert called(place, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {talk!r}])") == {
        "192.0.2.1"
    }


def test_training_exporting_and_labelling_speak_to_nobody(place):
    formats = "graph,tflite,saved_model,onnx,keras,tfjs"
    assert called(place, "-m", "retrain", "--image_dir", PHOTOS, "--offline", "--export", formats) == set()
    photo = PHOTOS.parent / "test_photos" / "1.jpg"
    for name in ("retrained_graph.pb", "retrained_graph.onnx"):
        assert called(place, "-m", "label_image", "--image", photo, "--graph", f"tf_files/{name}") == set()
    assert called(place, "-m", "retrain", "doctor", "--image_dir", PHOTOS) == set()
    # Keras notes its settings there; a number for this machine would be seen beside them.
    left = {path.relative_to(place / "home").as_posix() for path in (place / "home").rglob("*") if path.is_file()}
    assert left <= {".keras/keras.json"}
