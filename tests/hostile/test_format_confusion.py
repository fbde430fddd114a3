"""Files that are not what their names say: the first bytes decide, and only five readers are ever asked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from commands import ROOT, environment
from formats import PHOTO, READ, REFUSED
from seeds_jpeg import saved

from retrain.errors import ImageError
from retrain.images import InputSpec, SkyStretch, decode_rgb, opening, sniff_format

CHILD = ROOT / "tests" / "hostile" / "formats_child.py"
SPEC = InputSpec(9, 12, 127.5, 127.5)
SKY = InputSpec(9, 12, 127.5, 127.5, SkyStretch("percentile"))
ALLOWED = {"JPEG", "PNG", "GIF", "BMP", "WEBP"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("confusion")
    for name, make in {**REFUSED, **READ}.items():
        (folder / name).write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def said(folder):
    return run_child(folder, sys.executable)


def run_child(folder, *command):
    paths = sorted(str(folder / name) for name in (*REFUSED, *READ))
    done = subprocess.run(
        [*command, CHILD, *paths],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_of_another_format_is_refused_whatever_it_is_called(said):
    found = {row["name"]: row["training"] for row in said[:-1] if row["name"] in REFUSED}
    assert found == {name: "empty" if name == "nothing.jpg" else "not an image" for name in REFUSED}


def test_what_is_of_a_format_that_is_read_is_read_whatever_it_is_called(said):
    found = {row["name"]: row["training"] for row in said[:-1] if row["name"] in READ}
    assert found == dict.fromkeys(READ, "read")


def test_all_ways_of_reading_agree_on_what_an_image_is(said):
    assert [row for row in said[:-1] if not row["training"] == row["upright"] == row["tf1"] == row["date"]] == []


def test_pillow_is_asked_for_nothing_but_the_format_of_the_first_bytes(said, folder):
    for row in said[:-1]:
        if row["name"] in REFUSED:
            assert row["tried"] == []
        else:
            assert row["tried"] == [sniff_format((folder / row["name"]).read_bytes())]
    assert {name for row in said[:-1] for name in row["tried"]} == ALLOWED


def test_no_program_is_started_and_no_other_file_is_touched(said, folder):
    assert said[-1] == {"seen": []}
    assert {path.name for path in folder.iterdir()} == {*REFUSED, *READ}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_system_sees_no_program_started(folder, tmp_path):
    """What a library starts without Python's knowledge."""
    log = tmp_path / "calls"
    run_child(folder, "strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", log, sys.executable)
    assert len([line for line in log.read_text().splitlines() if "execve" in line]) == 1


@pytest.mark.parametrize("name", READ)
def test_what_else_a_picture_is_changes_none_of_its_pixels(name):
    pixels = decode_rgb(READ[name](), SPEC).astype(int)
    assert np.abs(pixels - np.array([9, 99, 199])).max() <= 3


@pytest.mark.parametrize("name", ["fits.jpg", "tiff of 16 bits.jpg"])
def test_pictures_of_the_sky_are_read_only_where_a_model_asks_for_them(name):
    data = REFUSED[name]()
    with pytest.raises(ImageError, match="with --sky_limits"):
        decode_rgb(data, SPEC)
    assert decode_rgb(data, SKY).shape == (9, 12, 3)


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("fits.jpg", "tiff of 16 bits.jpg")])
def test_a_model_of_the_sky_reads_nothing_else_either(name):
    with pytest.raises(ImageError):
        decode_rgb(REFUSED[name](), SKY)


def test_every_file_that_is_opened_is_opened_as_one_format(monkeypatch):
    asked = []
    plain = opening.Image.open

    def watching(file, *words, formats):
        asked.append(formats)
        return plain(file, *words, formats=formats)

    monkeypatch.setattr(opening.Image, "open", watching)
    for name in ALLOWED:
        decode_rgb(saved(PHOTO, name), SPEC)
    assert sorted(asked) == sorted((name,) for name in ALLOWED)
