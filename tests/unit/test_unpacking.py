"""Archives of photographs: what is unpacked, what is refused, and that nothing is left of what is not."""

import bz2
import gzip
import io
import random
import struct
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from support import lines_of

from retrain import fsio
from retrain.config import RunConfig
from retrain.config.inputs import archive_kind
from retrain.console import Console
from retrain.dataset import find_folder, find_photographs, members, unpack_photographs, unpacking
from retrain.dataset.guards import Bounds
from retrain.dataset.unpacked import list_unpacked, remove_unpacked
from retrain.dataset.unpacking import inspect_archive, step_into, unpack_archive, unpacked_folder
from retrain.errors import UsageError

QUIET = Console(quiet=True)
USUAL = Bounds()
FILES = {"cats/1.jpg": b"cat one", "cats/2.jpg": b"cat two", "dogs/1.jpg": b"dog", "dogs/sub/2.jpg": b"below"}
UNIX = 3


def make_zip(path, files, **modes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is spelt, whatever the system
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = UNIX, modes.get(name, 0o100644) << 16
            archive.writestr(info, content)
    return str(path)


def make_tar(path, entries, mode="w:gz", **options):
    """entries: name -> bytes, or a TarInfo without contents."""
    with tarfile.open(path, mode, **options) as archive:
        for name, entry in entries.items():
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(entry, tarfile.TarInfo) else entry
            info.size = len(content) or info.size
            archive.addfile(info, io.BytesIO(content) if content else None)
    return str(path)


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tree(folder):
    return {
        str(p.relative_to(folder)).replace("\\", "/"): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()
    }


def unpack(path, place, judge=lambda folder: (), bounds=USUAL):
    return unpack_archive(path, str(place), bounds, QUIET, judge)


def inspect(path, place, bounds=USUAL):
    return inspect_archive(path, str(place), bounds)


KINDS = {
    "zip": lambda path: make_zip(path, FILES),
    "tar": lambda path: make_tar(path, FILES, "w"),
    "tar.gz": lambda path: make_tar(path, FILES, "w:gz"),
    "tar.bz2": lambda path: make_tar(path, FILES, "w:bz2"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_photographs_are_unpacked_once_into_a_folder_named_by_the_archive(tmp_path, kind):
    path = KINDS[kind](tmp_path / "photos.bin")  # by its bytes, not by its name
    assert archive_kind(path) == kind
    place = tmp_path / "some" / "unpacked"
    assert inspect(path, place) == []
    assert not (tmp_path / "some").exists()
    folder = unpack(path, place)
    assert folder == place / fsio.sha256_file(path) == unpacked_folder(path, str(place))
    assert tree(folder) == FILES
    assert sorted(p.name for p in place.iterdir()) == [folder.name, f"{folder.name}.json"]
    (folder / "cats" / "1.jpg").write_bytes(b"mark")
    unpack(path, place, judge=lambda folder: pytest.fail("it is there already"))
    assert tree(folder)["cats/1.jpg"] == b"mark"


def test_files_of_macos_folders_of_their_own_and_doubled_slashes(tmp_path):
    files = {
        "./": b"",
        "./p/": b"",
        "./p//a/1.jpg": b"1",
        "p/b/2.jpg": b"2",
        "__MACOSX/p/._1.jpg": b"x",
        ".DS_Store": b"",
    }
    folder = unpack(make_zip(tmp_path / "p.zip", files), tmp_path / "u")
    assert tree(folder) == {"p/a/1.jpg": b"1", "p/b/2.jpg": b"2", ".DS_Store": b""}
    assert step_into(folder) == folder / "p"


def test_only_a_folder_that_holds_folders_and_is_alone_is_stepped_into(tmp_path):
    for files, inner in (({"a/1.jpg": b""}, ""), (FILES, ""), ({"p/a/1.jpg": b"", "x.txt": b""}, "")):
        folder = unpack(make_zip(tmp_path / "p.zip", files), tmp_path / "u")
        assert step_into(folder) == folder / inner


@pytest.mark.parametrize(
    "inner", ["inner.zip", "INNER.ZIP", "a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.7z", "a.rar"]
)
def test_an_archive_in_an_archive_is_refused(tmp_path, inner):
    refused(make_zip(tmp_path / "p.zip", {**FILES, f"cats/{inner}": b"x"}), tmp_path, "is an archive itself")


def test_what_only_begins_like_an_archive_is_a_file(tmp_path):
    files = {**FILES, "cats/zip": b"", "cats/m45.zip.jpg": b"", "cats/m31.fits.gz": b""}
    assert inspect(make_zip(tmp_path / "p.zip", files), tmp_path / "u") == []


MANY = {f"cats/{i}.jpg": b"" for i in range(20)}
# What an archive holds -> words of the answer.
HOSTILE_NAMES = {
    "../evil.jpg": "leads out of the folder",
    "cats/../../evil.jpg": "leads out of the folder",
    "/elsewhere/evil.jpg": "has an absolute name",
    "C:/evil.jpg": "has an absolute name",
    "..\\evil.jpg": "which Windows cannot have",
    "cats/1.jpg:stream": "which Windows cannot have",
    "cats/a\nb.jpg": "which Windows cannot have",
    "cats/nul.jpg": "means something else on Windows",
    "cats /1.jpg": "means something else on Windows",
    "Cats/1.jpg": "and 'cats' differ only by case or by Unicode form",
    "cats/A\u0308.jpg": "and 'cats/\u00e4.jpg' differ only by case or by Unicode form",
    "cats/1.jpg": "is there twice",
    "cats/1.jpg/x.jpg": "is a file and a folder at once ('cats/1.jpg')",
    "cats": "is a file and a folder at once ('cats')",
    "x/" * 40 + "1.jpg": "lies deeper than 32 folders",
    "cats/" + "x" * 256: "has a name of more than 255 bytes",
}


def refused(path, tmp_path, words, bounds=USUAL):
    """It is refused when it is looked through and when it is unpacked, and nothing is written by either."""
    before = tree(tmp_path)
    problems = inspect(path, tmp_path / "deep" / "u", bounds)
    assert words in problems[0]
    assert path in problems[0]
    with pytest.raises(UsageError) as refusal:
        unpack(path, tmp_path / "deep" / "u", bounds=bounds)
    assert words in str(refusal.value)
    assert tree(tmp_path) == before
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_zip_with_a_hostile_name_is_refused(tmp_path, name):
    path = tmp_path / "p.zip"
    first = {"cats/1.jpg": b"1", "cats/\u00e4.jpg": b"2"}
    with zipfile.ZipFile(path, "w") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # zipfile's own of a name that is there twice
        for each in [*first, name]:
            info = zipfile.ZipInfo("x")
            info.filename = each
            archive.writestr(info, b"x")
    refused(str(path), tmp_path, HOSTILE_NAMES[name])


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_tar_with_a_hostile_name_is_refused(tmp_path, name):
    path = tmp_path / "p.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for each in ["cats/1.jpg", "cats/\u00e4.jpg", name]:
            archive.addfile(tarfile.TarInfo(each))
    refused(str(path), tmp_path, HOSTILE_NAMES[name])


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", "is a symbolic link"),
        (tarfile.SYMTYPE, "1.jpg", "is a symbolic link"),
        (tarfile.LNKTYPE, "cats/1.jpg", "is a hard link"),
        (tarfile.FIFOTYPE, "", "is a device or pipe"),
        (tarfile.CHRTYPE, "", "is a device or pipe"),
        (tarfile.BLKTYPE, "", "is a device or pipe"),
        (tarfile.GNUTYPE_SPARSE, "", "is a file with holes"),
    ],
)
def test_what_is_no_plain_file_in_a_tar_is_refused(tmp_path, kind, target, words):
    entries = {"cats/1.jpg": b"1", "cats/x.jpg": special("cats/x.jpg", kind, target)}
    refused(make_tar(tmp_path / "p.tar", entries, "w", format=tarfile.GNU_FORMAT), tmp_path, words)


@pytest.mark.parametrize(("mode", "words"), [(0o120777, "a symbolic link"), (0o010644, "pipe"), (0o060644, "device")])
def test_what_is_no_plain_file_in_a_zip_is_refused(tmp_path, mode, words):
    path = make_zip(tmp_path / "p.zip", {"cats/1.jpg": b"/etc/passwd"}, **{"cats/1.jpg": mode})
    refused(path, tmp_path, words)


def test_an_encrypted_zip_and_a_rare_method_are_refused(tmp_path):
    path = Path(make_zip(tmp_path / "p.zip", {"cats/1.jpg": b"1"}))
    plain = path.read_bytes()
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = plain.index(start) + offset
        path.write_bytes(plain[:at] + b"\x01\x00" + plain[at + 2 :])
        plain = path.read_bytes()
    refused(str(path), tmp_path, "is encrypted")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("cats/1.jpg", b"1")
    refused(str(path), tmp_path, "is packed by method 14, of which 0, 8 and 12 are read")


def test_a_name_cut_by_a_nul_is_seen_whole(tmp_path):
    path = Path(make_zip(tmp_path / "p.zip", {"cats/1.jpgX../x": b"1"}))
    path.write_bytes(path.read_bytes().replace(b"1.jpgX", b"1.jpg\0"))
    refused(str(path), tmp_path, "which Windows cannot have")


def test_bombs_are_refused_before_they_go_off(tmp_path):
    bomb = {"cats/1.bmp": bytes(20 << 20)}
    for path in (make_zip(tmp_path / "p.zip", bomb), make_tar(tmp_path / "p.tgz", bomb)):
        problems = inspect(path, tmp_path / "u")
        assert len(problems) == 1
        assert f"to unpack to at most 100 times that, got {20 << 20:,} bytes, which photographs never do" in problems[0]
        with pytest.raises(UsageError, match="100 times that, got at least 20,971,520 bytes"):
            unpack(path, tmp_path / "u")
        assert not (tmp_path / "u").exists()


def test_a_small_archive_may_hold_black_pictures(tmp_path):
    assert inspect(make_zip(tmp_path / "p.zip", {"cats/1.bmp": bytes(1 << 20)}), tmp_path) == []


def test_bombs_behind_the_end_of_a_tar_and_in_its_names_are_refused(tmp_path):
    path = tmp_path / "p.tgz"
    tar = gzip.decompress(Path(make_tar(path, {"cats/1.jpg": b"1"})).read_bytes())
    path.write_bytes(gzip.compress(tar + bytes(8 << 20)))
    refused(str(path), tmp_path, "it unpacks to more than", Bounds(max_files=100))
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    path.write_bytes(gzip.compress(long.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16)))
    refused(str(path), tmp_path, "bytes at once, at most 1048576 are read")
    path.write_bytes(gzip.compress(special_of_size(1 << 50) + bytes(1024)))
    refused(str(path), tmp_path, "to unpack to at most 256 MiB, got at least 1,073,741,824 MiB; raise --archive_max_mb")


def special_of_size(size, name="cats/1.jpg"):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_files_are_refused_with_the_flag_that_allows_them(tmp_path, kind):
    path = make_zip(tmp_path / "p", MANY) if kind == "zip" else make_tar(tmp_path / "p", MANY, "w")
    (problem,) = inspect(path, tmp_path / "u", Bounds(max_files=15))
    assert "to hold at most 15 files, got 20; raise --archive_max_files" in problem
    with pytest.raises(UsageError, match="at most 15 files, got at least 16; raise --archive_max_files"):
        unpack(path, tmp_path / "u", bounds=Bounds(max_files=15))
    assert not (tmp_path / "u").exists()
    assert inspect(path, tmp_path / "u", Bounds(max_files=20)) == []


def test_too_many_bytes_are_refused_with_the_flag_that_allows_them(tmp_path):
    noise = random.Random(0).randbytes(3 << 20)
    path = make_zip(tmp_path / "p.zip", {"cats/1.bmp": noise, "dogs/1.bmp": noise})
    (problem,) = inspect(path, tmp_path / "u", Bounds(max_bytes=5 << 20))
    assert "to unpack to at most 5 MiB, got 6 MiB; raise --archive_max_mb" in problem
    assert inspect(path, tmp_path / "u", Bounds(max_bytes=6 << 20)) == []


def test_the_flags_of_a_run_raise_the_bounds(tmp_path):
    path = make_zip(tmp_path / "p.zip", {f"{c}/{i}.jpg": b"x" for c in ("cats", "dogs") for i in range(20)})
    tight = config_of(tmp_path, path, archive_max_files=30)
    problems, catalog = find_photographs(tight)
    assert catalog is None
    assert "got 40; raise --archive_max_files" in problems[0]
    with pytest.raises(UsageError, match="archive_max_files"):
        unpack_photographs(tight, QUIET)
    wide = config_of(tmp_path, path, archive_max_files=40)
    assert find_photographs(wide) == ([], None)
    unpack_photographs(wide, QUIET)
    assert len(find_photographs(tight)[1].records) == 40  # what is unpacked is only read


def test_a_zip_that_lists_more_than_it_may_is_read_for_who_allows_more_files(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "_MAX_LISTING_BYTES", 500)
    path = make_zip(tmp_path / "p.zip", MANY)
    assert "its list of members has" in inspect(path, tmp_path / "u", Bounds(max_files=1))[0]
    assert inspect(path, tmp_path / "u", Bounds(max_files=20)) == []


def test_a_long_list_of_members_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "_MAX_LISTING_BYTES", 500)
    path = make_zip(tmp_path / "p.zip", MANY)
    refused(path, tmp_path, "its list of members has", Bounds(max_files=1))
    data = Path(path).read_bytes()
    end = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 20, 20, 1 << 40, 0)
    monkeypatch.setattr(members, "_MAX_LISTING_BYTES", 1 << 30)
    cut = data.index(b"PK\x05\x06")
    short = data[cut : cut + 12] + b"\xff" * 8 + data[cut + 20 :]
    pointer = struct.pack("<4sLQL", b"PK\x06\x07", 0, cut, 1)
    Path(path).write_bytes(data[:cut] + end + pointer + short)
    refused(path, tmp_path, f"its list of members has {1 << 40} bytes")


def test_only_ten_problems_are_told(tmp_path):
    problems = inspect(make_zip(tmp_path / "p.zip", {f"../{i}": b"" for i in range(14)}), tmp_path)
    assert len(problems) == 11
    assert problems[10] == f"{tmp_path / 'p.zip'}: 4 more members are not unpacked"


def test_no_room_is_told_with_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5}))
    (problem,) = inspect(make_zip(tmp_path / "p.zip", FILES), tmp_path / "u")
    assert f"unpacks to {sum(map(len, FILES.values()))} bytes, and {tmp_path} has room for 5; make room" in problem


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_cut_anywhere_or_changed_leaves_nothing(tmp_path, kind):
    path = Path(KINDS[kind](tmp_path / "p"))
    whole = path.read_bytes()
    place = tmp_path / "u"
    for share in range(1, 10):
        path.write_bytes(whole[: len(whole) * share // 10])
        if kind == "tar" and not any(whole[len(whole) * share // 10 :]) and share > 4:
            continue  # what is missing is padding only
        if archive_kind(str(path)) != kind:
            continue  # too short to be told for one
        with pytest.raises(UsageError, match=r"cannot read the archive .*; fetch or pack it again"):
            unpack(str(path), place)
        assert not place.exists()


def test_a_changed_photograph_or_header_is_noticed(tmp_path):
    path = Path(make_zip(tmp_path / "p.zip", {"cats/1.jpg": b"x" * 64}))
    data = bytearray(path.read_bytes())
    data[-30] ^= 0xFF  # of the list of members
    path.write_bytes(data)
    with pytest.raises(UsageError):
        unpack(str(path), tmp_path / "u")
    tar = bytearray(Path(make_tar(tmp_path / "p.tar", FILES, "w")).read_bytes())
    tar[1024 + 3] ^= 1  # a name in the second header: tarfile alone would take it for the end
    for pack, name in ((bytes, "a.tar"), (gzip.compress, "a.tgz"), (bz2.compress, "a.tbz")):
        (tmp_path / name).write_bytes(pack(bytes(tar)))
        with pytest.raises(UsageError, match="a damaged header 1024 bytes behind its start"):
            unpack(str(tmp_path / name), tmp_path / "u")
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"abcd", "has other than the 3 bytes"), (b"ab", "has other than the 3 bytes"), (None, "has no contents")],
)
def test_a_member_must_be_as_long_as_it_says(content, words):
    member = members.Member("x", members.FILE, 3, lambda: None if content is None else io.BytesIO(content))
    with pytest.raises(UsageError, match=words):
        list(members.blocks_of(member, "p.zip"))


def test_a_tar_cut_between_two_members_is_noticed(tmp_path):
    path = Path(make_tar(tmp_path / "p.tar", FILES, "w"))
    path.write_bytes(path.read_bytes()[:2048])
    refused(str(path), tmp_path, "it ends without the mark of its end")


def test_folders_of_a_tar_are_made_and_its_own_is_no_member(tmp_path):
    entries = {name: special(name, tarfile.DIRTYPE) for name in (".", "cats", "cats/empty")}
    path = make_tar(tmp_path / "p.tar", {**entries, "cats/1.jpg": b"1"}, "w")
    folder = unpack(path, tmp_path / "u")
    assert sorted(p.name for p in folder.rglob("*")) == ["1.jpg", "cats", "empty"]
    refused(make_tar(tmp_path / "q.tar", {".": b"1"}, "w"), tmp_path / "none", "has no name")


def test_members_can_be_sought_in(tmp_path):
    path = Path(make_tar(tmp_path / "p.tar", FILES, "w"))
    with path.open("rb") as file:
        found = members.members_of(file, "tar", "p.tar", 1 << 20)
        with next(found).open() as opened:
            assert opened.seekable()
            assert opened.seek(4) == 4
            assert opened.read() == b"one"
        assert len(list(found)) == len(FILES) - 1


def test_a_changed_photograph_in_a_zip_is_noticed(tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cats/1.jpg", b"photograph")
    path.write_bytes(path.read_bytes().replace(b"photograph", b"photogroph"))
    with pytest.raises(UsageError, match=r"Bad CRC-32 for file 'cats/1.jpg'"):
        unpack(str(path), tmp_path / "u")
    assert [p.name for p in tmp_path.iterdir()] == ["p.zip"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives_end_in_a_sentence_or_are_read_to_their_end(tmp_path, kind):
    path, place, draw = Path(KINDS[kind](tmp_path / "p")), tmp_path / "u", random.Random(kind)
    whole = path.read_bytes()
    ends = Counter()
    for _ in range(40):
        changed = bytearray(whole)
        for _ in range(draw.choice((1, 2, 5))):
            changed[draw.randrange(min(len(whole), 3072))] = draw.choice((0, 255, 46, 47, draw.randrange(256)))
        path.write_bytes(changed)
        if archive_kind(str(path)) != kind:
            continue
        with pytest.raises(UsageError) as end:
            unpack(str(path), place, judge=lambda folder: ["read to its end"])
        ends[str(end.value) == "read to its end"] += 1
        assert [p.name for p in tmp_path.iterdir()] == ["p"]
    assert ends[False] > 10


def test_photographs_that_are_not_to_be_used_and_ctrl_c_leave_nothing(tmp_path):
    path = make_zip(tmp_path / "p.zip", FILES)
    with pytest.raises(UsageError, match=r"^empty class: .*p.zip/cats$"):
        unpack(path, tmp_path / "a" / "u", judge=lambda folder: [f"empty class: {folder}/cats"])

    def interrupt(folder):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(path, tmp_path / "a" / "u", judge=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["p.zip"]
    (tmp_path / "a" / "u" / "others").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, tmp_path / "a" / "u", judge=interrupt)
    assert [p.name for p in (tmp_path / "a" / "u").iterdir()] == ["others"]


def test_another_process_may_be_faster(tmp_path):
    path = make_zip(tmp_path / "p.zip", FILES)
    target = unpacked_folder(path, str(tmp_path / "u"))

    def overtake(folder):
        target.mkdir()
        (target / "theirs").touch()
        return ()

    assert unpack(path, tmp_path / "u", judge=overtake) == target
    assert [p.name for p in target.iterdir()] == ["theirs"]


def config_of(tmp_path, path, **flags):
    return RunConfig(image_dir=path, bottleneck_dir=str(tmp_path / "work" / "bottlenecks"), **flags)


def test_a_run_sees_an_archive_as_the_folder_in_it(tmp_path, capsys):
    path = make_zip(tmp_path / "p.zip", {f"p/{name}": content for name, content in FILES.items()})
    config = config_of(tmp_path, path)
    assert find_photographs(config) == ([], None)
    assert [problem for problem in config.problems() if "image_dir" in problem] == []
    assert not (tmp_path / "work").exists()
    unpack_photographs(config, Console())
    assert lines_of(capsys.readouterr().out) == [f"Unpacking {path} into {tmp_path / 'work' / 'unpacked'}, once."]
    problems, catalog = find_photographs(config)
    assert problems == []
    assert Path(catalog.root).name == "p"
    assert [record.path for record in catalog.records] == ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]
    assert catalog.left_out == {"sub-folder of a class folder": 1}
    _, deep = find_photographs(config_of(tmp_path, path, recursive=True))
    assert len(deep.records) == 4


def test_a_list_names_photographs_as_the_archive_does(tmp_path):
    path = make_zip(tmp_path / "p.zip", {f"p/{name}": content for name, content in FILES.items()})
    (tmp_path / "list.csv").write_text("path,label\np/cats/1.jpg,cat\np/dogs/sub/2.jpg,dog\n")
    config = config_of(tmp_path, path, image_list=str(tmp_path / "list.csv"))
    unpack_photographs(config, QUIET)
    _, catalog = find_photographs(config)
    assert [(record.path, record.label) for record in catalog.records] == [("p/cats/1.jpg", 0), ("p/dogs/sub/2.jpg", 1)]


def test_what_is_wrong_with_the_photographs_names_the_archive(tmp_path):
    path = make_zip(tmp_path / "p.zip", {"cats/1.jpg": b"1"})
    with pytest.raises(UsageError, match=r"Only one valid folder of images found at .*p.zip "):
        unpack_photographs(config_of(tmp_path, path), QUIET)
    assert not (tmp_path / "work").exists()


def test_an_earlier_runs_photographs_are_unpacked_again(tmp_path):
    path = make_zip(tmp_path / "p.zip", FILES)
    folder = find_folder(path, str(tmp_path / "b"), 100, 1, QUIET)
    assert tree(folder) == FILES
    assert find_folder(str(tmp_path), str(tmp_path / "b"), 100, 1, QUIET) == str(tmp_path)


def test_a_folder_that_vanishes_is_not_taken_for_an_archive(tmp_path):
    with pytest.raises(UsageError, match="to be there still; it has vanished"):
        unpack_photographs(config_of(tmp_path, str(tmp_path / "gone")), QUIET)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_or_written_is_said(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "p.zip", FILES)
    (tmp_path / "unpacked").touch()
    config = RunConfig(image_dir=path, bottleneck_dir=str(tmp_path / "b"))
    assert any(problem.startswith(f"cannot unpack --image_dir={path} into") for problem in config.problems())

    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fsio, "sha256_file", fail)
    problems, catalog = find_photographs(config)
    assert problems == [f"cannot read the archive {path}: Input/output error; fetch or pack it again"]
    assert catalog is None


def test_other_files_are_no_archives(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    for path in ("", "s3://b/p.zip", str(tmp_path), str(tmp_path / "none"), str(tmp_path / "a.zip"), "x" * 5000):
        assert archive_kind(path) == ""
    assert find_photographs(config_of(tmp_path, str(tmp_path / "none"))) == ([], None)
    (problem,) = (p for p in RunConfig(image_dir=str(tmp_path / "a.zip")).problems() if "image_dir" in p)
    assert problem.startswith(
        "expected --image_dir to be a folder or an archive (.zip, .tar, .tar.gz, .tar.bz2), got the"
    )
    path = make_zip(tmp_path / "p.zip", FILES)

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert archive_kind(path) == ""


def lying_tar(path, *headers):
    path.write_bytes(b"".join(headers) + bytes(1024))
    return str(path)


NOISE = random.Random(1).randbytes(4 << 20)
# The hostile archives that a run with the usual bounds must not unpack: how each is made, words of the answer.
HOSTILE = {
    "zip-traversal": (lambda p: make_zip(p, {"../evil.jpg": b"x"}), "leads out of the folder"),
    "tar-traversal": (lambda p: make_tar(p, {"cats/../../evil.jpg": b"x"}), "leads out of the folder"),
    "zip-absolute": (lambda p: make_zip(p, {"/evil.jpg": b"x"}), "has an absolute name"),
    "zip-drive": (lambda p: make_zip(p, {"C:\\evil.jpg": b"x"}), "has an absolute name"),
    "zip-backslash": (lambda p: make_zip(p, {"cats\\..\\..\\evil.jpg": b"x"}), "which Windows cannot have"),
    "zip-link": (lambda p: make_zip(p, {"cats/1.jpg": b"/etc"}, **{"cats/1.jpg": 0o120777}), "is a symbolic link"),
    "tar-link": (lambda p: make_tar(p, {"c": special("c", tarfile.SYMTYPE, "/etc/passwd")}), "is a symbolic link"),
    "tar-through-link": (
        lambda p: make_tar(p, {"c": special("c", tarfile.SYMTYPE, "/etc"), "c/evil.jpg": b"x"}),
        "is a symbolic link",
    ),
    "tar-hard-link": (lambda p: make_tar(p, {"c": special("c", tarfile.LNKTYPE, "/etc/passwd")}), "is a hard link"),
    "tar-pipe": (lambda p: make_tar(p, {"c": special("c", tarfile.FIFOTYPE)}), "is a device or pipe"),
    "tar-device": (lambda p: make_tar(p, {"c": special("c", tarfile.BLKTYPE)}), "is a device or pipe"),
    "zip-bomb": (lambda p: make_zip(p, {"cats/1.bmp": bytes(8 << 20)}), "to unpack to at most 100 times that"),
    "tar-bomb": (lambda p: make_tar(p, {"cats/1.bmp": bytes(8 << 20)}, "w:bz2"), "to unpack to at most 100 times that"),
    "zip-in-zip": (lambda p: make_zip(p, {"cats/1.zip": b"PK"}), "is an archive itself"),
    "zip-of-10001": (
        lambda p: make_zip(p, {f"cats/{i}": b"" for i in range(10_001)}),
        "at most 10,000 files, got 10,001; raise --archive_max_files",
    ),
    "tar-of-257-MiB": (
        lambda p: lying_tar(p, special_of_size(4 << 20), NOISE, special_of_size(253 << 20, "cats/2.jpg")),
        "to unpack to at most 256 MiB, got at least 257 MiB; raise --archive_max_mb",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_run_refuses_a_hostile_archive_and_writes_nothing(tmp_path, name):
    make, words = HOSTILE[name]
    path = make(tmp_path / "p")
    before = tree(tmp_path)
    problems, catalog = find_photographs(config_of(tmp_path, path))
    assert catalog is None
    assert words in problems[0]
    with pytest.raises(UsageError, match=r"is not unpacked|expected"):
        unpack_photographs(config_of(tmp_path, path), QUIET)
    assert tree(tmp_path) == before
    assert not (tmp_path / "work").exists()


# What is unpacked already: notes, what goes, what stays.


def test_what_an_archive_held_before_is_removed_once_the_new_is_there(tmp_path, capsys):
    path, place = tmp_path / "p.zip", tmp_path / "u"
    old = unpack(make_zip(path, FILES), place)
    other = unpack(make_zip(tmp_path / "other.zip", {"x/1.jpg": b"x"}), place)
    with pytest.raises(UsageError):
        unpack(make_zip(path, {"cats/3.jpg": b"3"}), place, judge=lambda folder: ["no"])
    assert tree(old) == FILES
    new = unpack_archive(str(path), str(place), USUAL, Console(), lambda folder: ())
    assert f"Removed {old}, which was unpacked from what {path} held before" in capsys.readouterr().out
    assert tree(new) == {"cats/3.jpg": b"3"}
    assert not old.exists()
    names = {f"{folder.name}{end}" for folder in (new, other) for end in ("", ".json")}
    assert {p.name for p in place.iterdir()} == names


def test_a_folder_that_no_note_says_is_ours_is_not_removed(tmp_path):
    path, place = tmp_path / "p.zip", tmp_path / "u"
    old = unpack(make_zip(path, FILES), place)
    for note in (None, "{", "[]", '{"archive": 7}'):
        (place / f"{old.name}.json").unlink(missing_ok=True)
        if note:
            (place / f"{old.name}.json").write_text(note)
        assert not remove_unpacked(old)
    new = unpack(make_zip(path, {"cats/3.jpg": b"3"}), place)
    assert tree(old) == FILES
    assert [(one.folder, bool(one.archive), one.why_unused) for one in list_unpacked(place)] == sorted(
        [(old, False, ""), (new, True, "")]
    )


def test_what_is_unpacked_is_listed_with_its_size_and_why_it_can_go(tmp_path):
    assert list_unpacked(tmp_path / "none") == []
    place, disk = tmp_path / "u", tmp_path / "disk"
    disk.mkdir()
    kept, gone, away = tmp_path / "a.zip", tmp_path / "b.zip", disk / "c.zip"
    folders = [unpack(make_zip(path, {**FILES, path.name[0]: b"7 bytes"}), place) for path in (kept, gone, away)]
    (place / "mine").mkdir()
    gone.unlink()
    away.unlink()
    disk.rmdir()  # as of a disk that is not plugged in
    found = {one.folder: one for one in list_unpacked(place)}
    assert set(found) == set(folders)
    assert [found[folder].why_unused for folder in folders] == ["", "the archive is gone", ""]
    assert {(one.files, one.size) for one in found.values()} == {(5, sum(map(len, FILES.values())) + 7)}
    kept.write_bytes(b"something else")
    assert {one.why_unused for one in list_unpacked(place)} == {
        "the archive holds something else now",
        "the archive is gone",
        "",
    }
    assert remove_unpacked(folders[0])
    assert len(list_unpacked(place)) == 2
