import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import encode, noise, write_tree

import retrain
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.doctor.checkup import Tally, file_findings, jobs_of, look_at_files
from retrain.doctor.files import FileFacts, Job, examine, examine_bytes, examine_files
from retrain.doctor.formats import other_content, read_format, unread_picture
from retrain.doctor.treatments import GOOD, TREATMENTS, is_lost
from retrain.errors import ImageError
from retrain.images import LIMITS, InputSpec, decode_rgb
from retrain.survey.entries import survey_folder
from retrain.survey.findings import COSTS, MAX_EXAMPLES, STOPS

PHOTO = noise(48, 64)
JPEG = encode(PHOTO, "JPEG")


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encode(PHOTO, "JPEG", exif=tags)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int) -> bytes:
    rows = b"".join(b"\0" + bytes(width * depth * (3 if colour == 2 else 1) // 8) for _ in range(min(height, 64)))
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


def frames(image_format: str) -> bytes:
    pictures = [Image.fromarray(noise(48, 48, seed)) for seed in (1, 2)]
    return encode(pictures[0], image_format, save_all=True, append_images=pictures[1:])


CASES = {
    "plain": ("a.jpg", JPEG, (GOOD,)),
    "upper-case suffix": ("a.JPEG", JPEG, (GOOD,)),
    "no suffix": ("a", JPEG, (GOOD,)),
    "empty": ("a.jpg", b"", ("no-bytes",)),
    "cut off": ("a.jpg", JPEG[: len(JPEG) // 2], ("truncated",)),
    "damaged": ("a.jpg", JPEG[:3] + bytes(50), ("damaged",)),
    "PNG as .jpg": ("a.jpg", encode(PHOTO), ("wrong-suffix",)),
    "animated GIF": ("a.gif", frames("GIF"), ("animated", "palette")),
    "animated WebP": ("a.webp", frames("WEBP"), ("animated",)),
    "animated PNG": ("a.png", frames("PNG"), ("animated",)),
    "CMYK": ("a.jpg", encode(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"), ("cmyk",)),
    "16-bit grey": ("a.png", encode(Image.fromarray(np.full((40, 40), 9000, np.uint16))), ("16-bit",)),
    "16-bit RGB": ("a.png", png(40, 40, 16, 2), ("16-bit",)),
    "transparent": ("a.png", encode(Image.new("RGBA", (40, 40))), ("alpha",)),
    "palette": ("a.png", encode(Image.fromarray(PHOTO).quantize(8)), ("palette",)),
    "turned": ("a.jpg", exif(6), ("exif-rotated",)),
    "upright by its EXIF": ("a.jpg", exif(1), (GOOD,)),
    "no such orientation": ("a.jpg", exif(99), (GOOD,)),
    "tiny": ("a.png", encode(noise(31, 300)), ("tiny",)),
    "just not tiny": ("a.png", encode(noise(32, 32)), (GOOD,)),
    "bomb": ("a.png", png(100_000, 100_000, 8, 0), ("too-many-pixels",)),
    "beyond the limit": ("a.png", png(10_001, 10_000, 8, 0), ("too-many-pixels",)),
    "TIFF as .jpg": ("a.jpg", encode(PHOTO, "TIFF"), ("unread-format",)),
    "HEIC as .jpg": ("a.jpg", b"\0\0\0\x18ftypheic" + bytes(20), ("unread-format",)),
    "web page as .jpg": ("a.jpg", b"<!DOCTYPE html><html>", ("not-an-image",)),
    "SVG as .png": ("a.png", b"<?xml version='1.0'?><svg width='1'/>", ("unread-format",)),
}


@pytest.mark.parametrize(("name", "data", "kinds"), CASES.values(), ids=CASES)
def test_each_kind_of_file_is_told_by_its_bytes(name, data, kinds):
    facts = examine_bytes(Job(f"cats/{name}", name, 0), data)
    assert facts.kinds == kinds
    try:  # what the doctor says a run reads is what a run reads
        decode_rgb(data, InputSpec(224, 224, 127.5, 127.5))
    except ImageError:
        assert is_lost(kinds[0])
    else:
        assert not any(map(is_lost, kinds))


def test_too_many_scans_and_too_many_bytes_are_told_apart_from_damage(tmp_path):
    usual = encode(PHOTO, "JPEG", progressive=True)
    last = usual.rindex(b"\xff\xda")
    endless = usual[:last] + usual[last:-2] * 101 + usual[-2:]
    assert examine_bytes(Job("a.jpg", "", 0), usual).kinds == (GOOD,)
    assert examine_bytes(Job("a.jpg", "", 0), endless).kinds == ("too-many-scans",)
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(LIMITS.max_bytes + 1)  # sparse: no bytes on the disk
    assert examine(Job("large.jpg", str(tmp_path / "large.jpg"), 0)).kinds == ("too-many-bytes",)


@pytest.mark.parametrize("label", [0, -1])
def test_what_cannot_be_read_is_an_answer(tmp_path, label):
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("pipe.jpg", "gone.jpg", "nul\0.jpg", "x" * 300):
        assert examine(Job(name, os.path.join(tmp_path, name), label)).kinds == ("unreadable",)


@pytest.mark.parametrize(
    ("head", "suffix", "name"),
    [
        (b"II*\0" + bytes(8), "", "TIFF"),
        (b"MM\0*" + bytes(8), "", "TIFF"),
        (b"II*\0\x10\0\0\0CR\2\0", ".cr2", "Canon raw (CR2)"),
        (b"\0\0\0\x1cftypavif", "", "AVIF"),
        (b"\0\0\0\x1cftypmif1", "", "HEIF"),
        (b"8BPS\0\1", "", "PSD"),
        (b"SIMPLE  =                    T", "", "FITS"),
        (bytes(128) + b"DICM", "", "DICOM"),
        (b"P6\n40 40\n255\n", "", "Netpbm (PPM, PGM, PBM)"),
        (b"\x0a\5\1\x08", "", "PCX"),
        (bytes(18), ".tga", "TGA"),
        (b"%!PS-Adobe", "", "EPS"),
        (b"hello", ".txt", None),
        (b"", "", None),
    ],
)
def test_pictures_that_are_not_read_are_named(head, suffix, name):
    assert unread_picture(head, suffix) == name
    assert read_format(head) is None


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"PK\3\4", "ZIP archive"),
        (b"\0\0\0\x18ftypmp42", "film"),
        (b"  <HTML>", "HTML page"),
        ("grüß".encode() + b"\xc3", "text"),
        (b"\xff\xd8", "unknown"),
        (b"", "unknown"),
    ],
)
def test_what_is_no_picture_is_named_as_well(head, what):
    assert other_content(head) == what


def test_files_that_a_run_leaves_out_are_named_by_their_first_bytes(tmp_path):
    held = {
        "a.jpg": JPEG,
        "b.tif": encode(PHOTO, "TIFF"),
        "c.mpo": JPEG,
        "d.txt": b"text",
        "e.mp4": b"\0\0\0\x18ftypmp42",
    }
    root = write_tree(tmp_path / "p", {"cats": held, "dogs": {"1.jpg": JPEG}})
    write_tree(root / "cats", {"deep": {"f.jpg": JPEG}})
    (root / "loose.jpg").write_bytes(JPEG)
    catalog = scan_folder(str(root), "folder")
    found = {
        f.path: f.kinds[0] for f in examine_files(jobs_of(catalog, survey_folder(str(root))), lambda count=1: None)
    }
    assert found == {
        "cats/a.jpg": GOOD,
        "dogs/1.jpg": GOOD,
        "cats/b.tif": "unread-format",
        "cats/c.mpo": "unknown-suffix",
        "cats/d.txt": "other",
        "cats/e.mp4": "other",
        "cats/deep/f.jpg": "elsewhere",
        "loose.jpg": "elsewhere",
    }


def test_answers_come_in_order_and_never_more_than_the_queue_is_held(tmp_path):
    root = write_tree(tmp_path / "p", {"a": {f"{i:03}.png": encode(noise(40, 40, i)) for i in range(150)}, "b": {}})
    catalog, done = scan_folder(str(root), "folder"), []
    jobs = list(jobs_of(catalog, survey_folder(str(root))))
    asked = 0

    def counted():
        nonlocal asked
        for job in jobs:
            asked += 1
            yield job

    answers = examine_files(counted(), lambda count=1: done.append(count))
    next(answers)
    assert asked <= 64
    answers.close()
    paths = [facts.path for facts in examine_files(jobs, lambda count=1: done.append(count))]
    assert paths == [job.path for job in jobs]
    assert len(done) == 151


def test_the_tally_keeps_a_few_examples_of_each_kind_and_every_bad_file():
    tally = Tally()
    for number in range(9):
        tally.add(FileFacts(f"a/{number}.jpg", 0, "JPEG", ("truncated", "wrong-suffix")))
    tally.add(FileFacts("a/good.jpg", 0, "JPEG", (GOOD,)))
    tally.add(FileFacts("a/turned.jpg", 0, "JPEG", ("exif-rotated",)))
    tally.add(FileFacts("a/x.txt", -1, "text", ("other",)))
    assert tally.findings["truncated"].count == tally.findings["wrong-suffix"].count == 9
    assert len(tally.findings["truncated"].examples) == MAX_EXAMPLES
    assert len(tally.bad) == tally.lost == 9
    assert tally.readable == {0: 2}
    assert tally.formats == {"JPEG": 11}


def findings_of(root, max_skipped=5.0):
    catalog = scan_folder(str(root), "folder")
    tally, prints = look_at_files(catalog, survey_folder(str(root)), Console(quiet=True))
    assert len(prints) == sum(tally.readable.values())
    return {one.kind: one for one in file_findings(tally, catalog, max_skipped)}


def test_more_unreadable_photographs_than_a_run_allows_stop_it(tmp_path):
    good = {f"{i}.jpg": JPEG for i in range(8)}
    root = write_tree(tmp_path / "p", {"a": {**good, "x.jpg": b"", "y.jpg": b"no"}, "b": good})
    found = findings_of(root)
    assert found["too-many-unreadable"].severity == STOPS
    assert "2 of 18 photographs" in found["too-many-unreadable"].text
    assert found["no-bytes"].severity == COSTS
    assert "too-many-unreadable" not in findings_of(root, 20.0)
    (root / "a" / "y.jpg").unlink()
    assert "too-many-unreadable" not in findings_of(root, 0.0)  # one is always allowed


def test_a_class_of_which_nothing_can_be_read_stops_a_run(tmp_path):
    root = write_tree(tmp_path / "p", {"a": {"x.jpg": b"no"}, "b": {f"{i}.jpg": JPEG for i in range(30)}})
    found = findings_of(root)
    assert found["unreadable-class"].examples == ("a",)
    assert found["unreadable-class"].severity == STOPS


def test_every_treatment_says_what_is_done_and_a_costly_one_what_mends_it():
    for kind, treatment in TREATMENTS.items():
        assert treatment.what, kind
        assert treatment.treatment, kind
        assert treatment.fix or treatment.severity != COSTS, kind


@settings(max_examples=200)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", JPEG]))
def test_any_bytes_are_classified(tail, head):
    facts = examine_bytes(Job("a.jpg", "", 0), head + tail)
    assert facts.kinds
    assert set(facts.kinds) <= {*TREATMENTS, GOOD}


def test_the_document_shows_the_table_of_treatments():
    text = (Path(retrain.__file__).parents[1] / "docs" / "doctor.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 6]
    assert rows == [
        f"| `{kind}` | {one.what} | {one.treatment} | {one.severity} | {one.fix or '-'} |"
        for kind, one in TREATMENTS.items()
    ]
