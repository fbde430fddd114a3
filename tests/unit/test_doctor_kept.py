"""What the doctor keeps of files: the same answers without reading, and nothing believed that may have changed."""

import dataclasses
import os
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support import encode, lines_of, noise, vouch, write_tree

from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.doctor import files, kept
from retrain.doctor.checkup import jobs_of
from retrain.doctor.files import examine_files
from retrain.doctor.kept import kept_facts
from retrain.errors import CacheError
from retrain.survey.entries import survey_folder

PHOTO = noise(48, 64)
HOUR_NS = 3_600 * 10**9


def camera(name):
    tags = Image.Exif()
    tags[0x0110] = name
    tags[0x0112] = 6
    return encode(PHOTO, "JPEG", exif=tags)


USUAL = {
    "plain.jpg": encode(PHOTO, "JPEG"),
    "turned.jpg": camera("Telescope 30 cm"),
    "alpha.png": encode(np.dstack([PHOTO, PHOTO[..., :1]])),
    "palette.gif": encode(Image.fromarray(PHOTO).convert("P"), "GIF"),
    "tiny.bmp": encode(noise(8, 9), "BMP"),
    "cmyk.jpg": encode(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"),
    "picture.webp": encode(PHOTO, "WEBP"),
    "really_png.jpg": encode(PHOTO),
}
ODD = {
    "empty.jpg": b"",
    "cut.jpg": USUAL["plain.jpg"][:700],
    "text.jpg": b"no picture",
    "deep.png": encode(Image.fromarray(np.arange(2304, dtype=np.uint16).reshape(48, 48) * 20)),
    "long_camera.jpg": camera("x" * 300),
    "left_out.txt": b"text",
}


@pytest.fixture
def root(tmp_path):
    folder = write_tree(tmp_path / "photos", {"cats": USUAL, "dogs": ODD})
    for path in folder.rglob("*.*"):
        age(path)
    return folder


def age(path, seconds=100):
    status = path.stat()
    os.utime(path, ns=(status.st_mtime_ns - seconds * 10**9, status.st_mtime_ns - seconds * 10**9))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "bottlenecks"


@pytest.fixture
def look(root, place, monkeypatch):
    """Look at the folder; the answers, and which files were read for them."""

    def look(folder=root, verify=False):
        read, reading = [], files.read_job

        def noticed(job):
            read.append(os.path.basename(job.path))  # noqa: PTH119
            found = reading(job)
            # As if the clock had gone on since the folder was made: the dates of inodes are this moment's.
            return replace(found, read_ns=found.read_ns + HOUR_NS)

        catalog = scan_folder(str(folder), "folder")
        jobs = jobs_of(catalog, survey_folder(str(folder)))
        with monkeypatch.context() as patch, kept_facts(str(place), str(folder), Console(), verify=verify) as memory:
            patch.setattr(files, "read_job", noticed)
            facts = list(examine_files(jobs, lambda count=1: None, memory))
        return facts, sorted(read)

    return look


def told(facts):
    """Facts as plain values, fingerprints included."""
    prints = [None if one.print is None else dataclasses.asdict(one.print) for one in facts]
    plain = [replace(one, print=None) for one in facts]
    arrays = [
        {key: value.tolist() if hasattr(value, "tolist") else value for key, value in (p or {}).items()} for p in prints
    ]
    return list(zip(plain, arrays, strict=True))


def test_a_second_look_gives_the_same_answers_and_reads_only_what_is_odd(look):
    first, read = look()
    assert read == sorted({*USUAL, *ODD} - {"left_out.txt"})
    again, read = look()
    assert told(again) == told(first)
    assert read == sorted(set(ODD) - {"left_out.txt"})
    kinds = {one.path: one.kinds for one in again}
    assert kinds["cats/really_png.jpg"] == ("wrong-suffix",)
    assert kinds["cats/turned.jpg"] == ("exif-rotated",)
    camera_of = {one.path: one.print.camera for one in again if one.print}
    assert camera_of["cats/turned.jpg"] == "Telescope 30 cm"
    assert len(camera_of["dogs/long_camera.jpg"]) == 300


def test_a_changed_file_and_a_new_one_are_read(look, root):
    look()
    (root / "cats" / "plain.jpg").write_bytes(camera("new"))
    (root / "cats" / "new.jpg").write_bytes(USUAL["turned.jpg"])
    facts, read = look()
    assert {"plain.jpg", "new.jpg"} <= set(read)
    assert read.count("tiny.bmp") == 0
    assert {one.path: one.kinds for one in facts}["cats/plain.jpg"] == ("exif-rotated",)


def test_the_same_contents_under_another_name_are_judged_by_that_name(look, root):
    look()
    (root / "cats" / "palette.gif").rename(root / "cats" / "palette.png")
    os.link(root / "cats" / "plain.jpg", root / "cats" / "same.png")
    for _ in range(2):
        kinds = {one.path: one.kinds for one in look()[0]}
        assert kinds["cats/palette.png"] == ("palette", "wrong-suffix")
        assert kinds["cats/same.png"] == ("wrong-suffix",)
        assert kinds["cats/plain.jpg"] == ("good",)


def test_a_file_as_young_as_the_look_at_it_is_not_believed(root, place):
    def look():
        catalog = scan_folder(str(root), "folder")
        with kept_facts(str(place), str(root), Console(quiet=True), verify=False) as memory:
            looks = list(memory.recall(jobs_of(catalog, survey_folder(str(root)))))
            list(examine_files((job for job, _ in looks), lambda count=1: None, memory))
            return [facts is not None for _, facts in looks]

    assert not any(look())
    assert not any(look())  # their inodes changed within the last two seconds


def test_with_verify_every_file_is_read_and_a_change_that_no_date_tells_is_named(look, root, place, capsys):
    look()
    capsys.readouterr()
    photo = root / "cats" / "plain.jpg"
    with sqlite3.connect(next(place.glob("*.sqlite"))) as db:
        (other,) = db.execute("SELECT sha256 FROM files WHERE path = ?", (b"cats/tiny.bmp",)).fetchone()
        db.execute("UPDATE files SET sha256 = ? WHERE path = ?", (other, b"cats/plain.jpg"))
        vouch(db)
    db.close()
    assert {one.path: one.kinds for one in look()[0]}["cats/plain.jpg"] == ("tiny", "wrong-suffix")  # believed
    facts, read = look(verify=True)
    assert read == sorted({*USUAL, *ODD} - {"left_out.txt"})
    assert {one.path: one.kinds for one in facts}["cats/plain.jpg"] == ("good",)
    assert lines_of(capsys.readouterr().out)[-1].endswith(
        "cats/plain.jpg changed, though its size and dates did not: what was known of it is replaced"
    )
    assert {one.path: one.kinds for one in look()[0]}["cats/plain.jpg"] == ("good",)
    assert photo.exists()


def test_damaged_rows_are_read_again_and_mended(look, place):
    first, _ = look()
    with sqlite3.connect(next(place.glob("*.sqlite"))) as db:
        db.execute("UPDATE vectors SET checksum = checksum + 1")
    db.close()
    again, read = look()
    assert set(USUAL) <= set(read)
    assert told(again) == told(first)
    assert not set(USUAL) & set(look()[1])


def test_a_file_that_sqlite_cannot_read_is_set_aside_and_one_of_another_version_goes(look, place):
    first, _ = look()
    path = next(place.glob("*.sqlite"))
    path.write_bytes(b"torn" * 1000)
    (place / "doctor-000000000000.sqlite").write_bytes(b"")
    sqlite3.connect(place / "doctor-111111111111.sqlite").close()
    assert told(look()[0]) == told(first)
    assert [one.name for one in place.glob("doctor-*.sqlite")] == [path.name]


def test_where_nothing_can_be_kept_the_answers_are_the_same_and_it_is_said(look, place, capsys):
    place.write_text("a file")
    facts, read = look()
    assert len(read) == len(USUAL) + len(ODD) - 1
    assert len(facts) == len(read) + 1
    assert "what is found of the files is not kept" in capsys.readouterr().out


def test_a_disk_that_fills_up_meanwhile_costs_no_answer(look, place, monkeypatch, capsys):
    def full(*given):
        raise CacheError("database or disk is full")

    monkeypatch.setattr(kept, "_COMMIT_EVERY", 3)
    with monkeypatch.context() as patch:
        patch.setattr(kept.BottleneckStore, "put", full)
        facts, _ = look()
    assert len(facts) == len(USUAL) + len(ODD)
    assert lines_of(capsys.readouterr().out)[-1].endswith("is no longer kept: database or disk is full")
    assert told(look()[0]) == told(facts)


def test_what_was_found_before_an_interruption_is_kept(root, place, monkeypatch):
    monkeypatch.setattr(kept, "_COMMIT_EVERY", 3)
    catalog = scan_folder(str(root), "folder")
    jobs = jobs_of(catalog, survey_folder(str(root)))

    def interrupted():
        with kept_facts(str(place), str(root), Console(quiet=True), verify=False) as memory:
            for number, _ in enumerate(examine_files(jobs, lambda count=1: None, memory)):
                if number == 4:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with sqlite3.connect(next(place.glob("*.sqlite"))) as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone() == (5,)
    db.close()


def test_every_number_of_a_fingerprint_has_its_place():
    names = {one.name for one in dataclasses.fields(kept.Fingerprint)}
    assert names == {*kept._NUMBERS, "sha256", "bits", "thumbnail", "format", "camera"}
    assert kept._ROW.size % 4 == 0
    assert len(kept._KINDS) < 64
