import copy
import dataclasses
import sys
import types
from datetime import UTC, datetime

import pytest
from support import FINGERPRINT, WIDTH, digest, encode, fake_features, noise

from retrain import storage
from retrain.bottlenecks import BottleneckStore, Job, collect_features
from retrain.bottlenecks.store import root_key
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import scan_photographs
from retrain.engines import LocalEngine
from retrain.engines.work import extract_job
from retrain.errors import ImageError
from retrain.images import ImageLimits, read_image_file

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: python -m pip install -e '.[remote]'")


@pytest.fixture
def memory():
    """The files of memory://, which are this process's own."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("url", ["s3://bucket/photos", "S3://b", "gs://b", "memory://p", "file:///p", "a+b-c.d://x"])
def test_urls_are_told_from_paths(url):
    assert storage.is_url(url)


@pytest.mark.parametrize("path", ["", "photos", "/photos", "C:\\photos", "C:/photos", "s3:/bucket", "://x", "3s://x"])
def test_paths_are_no_urls(path):
    assert not storage.is_url(path)


@pytest.mark.parametrize(("protocol", "driver"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")])
def test_an_absent_driver_is_named_with_the_command_that_installs_it(monkeypatch, protocol, driver):
    monkeypatch.setitem(sys.modules, driver, None)
    problem = storage.driver_problem(f"{protocol}://bucket/photos")
    assert problem == (
        f"{protocol}://bucket/photos needs the driver of {protocol}://, {driver} is not installed: "
        f"python -m pip install {driver}"
    )


def test_absent_fsspec_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(storage.importlib.util, "find_spec", lambda name: None)
    problem = "s3://b/p needs fsspec, which is not installed: python -m pip install -e '.[remote]'"
    assert storage.driver_problem("s3://b/p") == problem
    assert RunConfig(image_dir="s3://b/p").problems() == [f"--image_dir=s3://b/p: {problem}"]


def test_protocols_that_nobody_knows_and_chains_are_refused():
    assert "expected a protocol that fsspec knows (s3://, gs://, file:// ...), got s4://" in storage.driver_problem(
        "s4://b"
    )
    assert "expected one URL, got the chain" in storage.driver_problem("zip://photos::s3://b/p.zip")


def test_folders_that_are_not_there_and_files_are_told(memory):
    memory.pipe("/p/cat/1.jpg", b"1")
    assert storage.folder_problem("memory://p") is None
    assert storage.folder_problem("memory://q").startswith("the folder memory://q was not found; check the spelling")
    assert storage.folder_problem("memory://p/cat/1.jpg").startswith("expected a folder, got the file memory://p/cat/")
    assert storage.is_folder("memory://p")
    assert not storage.is_folder("memory://q")


def test_a_driver_that_fails_in_its_own_way_is_a_sentence(memory, monkeypatch):
    class RefusedError(Exception):
        pass

    def refuse(*_, **__):
        raise RefusedError("no credentials")

    monkeypatch.setattr(type(memory), "isdir", refuse)
    monkeypatch.setattr(type(memory), "ls", refuse)
    assert "cannot read memory://p: RefusedError: no credentials; check" in storage.folder_problem("memory://p")
    with pytest.raises(OSError, match=r"^RefusedError: no credentials$"):
        storage.list_folder("memory://p")


def test_a_listing_says_of_a_file_what_it_says_when_it_is_asked_for(memory, tmp_path):
    names = ["1.jpg", "#2?.jpg", "a b%20.png", "[x]*.gif", "ü.jpg"]
    for number, name in enumerate(names):
        memory.pipe(f"/p/{name}", b"x" * number)
        (tmp_path / name).write_bytes(b"x" * number)
    memory.mkdir("/p/folder")
    (tmp_path / "folder").mkdir()
    for root in ("memory://p", tmp_path.as_uri()):
        listed = storage.list_folder(root)
        assert [entry.name for entry in listed] == sorted([*names, "folder"])
        files = [entry for entry in listed if not entry.is_folder]
        assert files == [storage.stat(f"{root}/{entry.name}") for entry in files]
        assert {entry.name: entry.size for entry in files} == {name: number for number, name in enumerate(names)}
        assert all(entry.is_told_apart for entry in files)
        assert storage.read(f"{root}/{names[3]}", 2) == b"xx"


MOMENT = datetime(2024, 5, 6, 7, 8, 9, 123000, UTC)
SAID = [
    # A listing and a single answer of S3 (MinIO lists fractions of a second), of GCS, of Azure, and of nobody.
    ({"ETag": '"abc"', "LastModified": MOMENT}, {"ETag": '"abc"', "LastModified": MOMENT.replace(microsecond=0), "VersionId": "7"}),
    ({"etag": "x", "generation": "1", "updated": "2024-05-06T07:08:09.123Z"},) * 2,
    ({"etag": "0x8", "last_modified": MOMENT, "content_settings": {}}, {"etag": "0x8", "last_modified": MOMENT}),
]  # fmt: skip


@pytest.mark.parametrize(("listed", "asked"), SAID)
def test_stores_are_understood(listed, asked):
    common = {"name": "bucket/a/1.jpg", "size": 5, "type": "file"}
    one, other = (storage._describe({**common, **facts}) for facts in (listed, asked))
    assert one == other
    assert one.mtime_ns == int(MOMENT.timestamp()) * 10**9
    # It stands where a ctime stands, which must lie in the past to be believed.
    assert 0 < one.tag < 2**60 < datetime(2007, 1, 1, tzinfo=UTC).timestamp() * 1e9
    changed = storage._describe({**common, **listed, "ETag": "new", "etag": "new"})
    assert changed.tag != one.tag


def test_a_store_that_says_nothing_of_changes_is_never_believed(memory, monkeypatch):
    bare = storage._describe({"name": "x/1.jpg", "size": None, "type": "file"})
    assert bare == ("1.jpg", False, -1, 0, 0)
    assert not bare.is_told_apart
    memory.pipe("/1.jpg", b"1")
    monkeypatch.setattr(storage, "stat", lambda url: bare)
    assert extract_job(Job(0, "memory://1.jpg"), (), fake_features).stamp is None


@pytest.mark.parametrize("spelling", ["memory://p", "memory://p/", "memory:///p", "MEMORY://p//"])
def test_spellings_of_one_folder_share_a_cache(spelling, memory):
    assert storage.normalise(spelling) == "memory:///p"
    assert root_key(spelling) == b"memory:///p"


def test_reading_keeps_to_the_limit_and_says_what_is_wrong(memory):
    memory.pipe("/1.jpg", b"12345")
    assert read_image_file("memory://1.jpg") == b"12345"
    assert read_image_file("memory://1.jpg", ImageLimits(max_bytes=5)) == b"12345"
    with pytest.raises(ImageError, match=r"^too large: over 4 bytes"):
        read_image_file("memory://1.jpg", ImageLimits(max_bytes=4))
    with pytest.raises(ImageError, match=r"^unreadable: FileNotFoundError"):
        read_image_file("memory://2.jpg")


def collected(root, cache, extract_one):
    with BottleneckStore(cache, FINGERPRINT, WIDTH) as store:
        catalog = scan_photographs(root, "folder")
        return collect_features(catalog, store, LocalEngine(extract_one, 2), Console(quiet=True), 5.0, f"{cache}.csv")


def test_a_folder_under_a_url_is_extracted_once_and_again_where_an_object_changed(memory, tmp_path, monkeypatch):
    pictures = {f"/p/{kind}/{n}.png": encode(noise(4, 4, 10 * (kind == "a") + n)) for kind in "ab" for n in range(3)}
    memory.pipe(pictures)
    for file in memory.store.values():  # an hour ago: what was written just now is not believed
        file.created = datetime.fromtimestamp(file.created.timestamp() - 3600, UTC)
    extracted = []

    def extract_one(data):
        extracted.append(data)
        return fake_features(data)

    first = collected("memory://p", tmp_path / "c.sqlite", extract_one)
    assert sorted(extracted) == sorted(pictures.values())
    assert [first.catalog.full_path(r) for r in first.catalog.records] == [f"memory:/{path}" for path in pictures]
    assert first.sha256s == tuple(digest(data) for data in pictures.values())
    read = []
    monkeypatch.setattr(storage, "read", lambda url, most: read.append(url) or bytes(memory.cat_file(url)))
    collected("memory:///p/", tmp_path / "c.sqlite", extract_one)
    assert (read, len(extracted)) == ([], 6)
    memory.pipe("/p/a/1.png", encode(noise(4, 4, 99)))
    second = collected("memory://p", tmp_path / "c.sqlite", extract_one)
    assert (read, len(extracted)) == (["memory://p/a/1.png"], 7)
    assert second.sha256s[1] == digest(encode(noise(4, 4, 99)))


def test_the_checks_of_a_url(memory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory.pipe("/p/a/1.jpg", b"1")
    assert RunConfig(image_dir="memory://p").problems() == []
    (problem,) = RunConfig(image_dir="memory://q").problems()
    assert problem.startswith("--image_dir=memory://q: the folder memory://q was not found")


def test_outputs_inside_the_photographs_are_found_behind_a_file_url_as_well(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    config = RunConfig(image_dir=(tmp_path / "photos").as_uri(), bottleneck_dir=str(tmp_path / "photos" / "cache"))
    (problem,) = config.problems()
    assert "lies inside --image_dir" in problem


def test_ray_is_asked_for_by_name_and_an_absent_one_is_a_command_to_type(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    good = RunConfig(image_dir=str(tmp_path), engine="ray")
    real = types.SimpleNamespace(origin="/site-packages/ray/__init__.py")
    folder = types.SimpleNamespace(origin=None)  # a folder called ray on the path
    for found, problems in [
        (real, []),
        (folder, ["--engine=ray needs Ray, which is not installed: python -m pip install -e '.[ray]'"]),
        (None, ["--engine=ray needs Ray, which is not installed: python -m pip install -e '.[ray]'"]),
    ]:
        monkeypatch.setattr("retrain.config.cluster.importlib.util.find_spec", lambda name, found=found: found)
        assert good_outputs(good, tmp_path).problems() == problems


def good_outputs(config, tmp_path):
    """The photographs are the current folder: write elsewhere."""
    names = {name: f"{tmp_path}-out/{name}" for name in config.outputs()}
    return dataclasses.replace(config, **{**names, "output_graph": f"{tmp_path}-out/model.pb"})


def free_port():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


ADDRESSES = [
    ({"engine": "local", "ray_address": "auto"}, "got --ray_address=auto without --engine=ray"),
    ({"engine": "ray", "ray_address": "ray://head:10001"}, "expected --ray_address to be 'auto' or HOST:PORT, got"),
    ({"engine": "ray", "ray_address": "head"}, "expected --ray_address to be 'auto' or HOST:PORT, got 'head'"),
    ({"engine": "ray", "ray_address": "head:99999"}, "expected --ray_address to be 'auto' or HOST:PORT"),
    ({"engine": "ray", "ray_address": "auto", "threads": 3}, "got --threads=3 and --ray_address, whose nodes say"),
    ({"engine": "rai"}, "expected --engine to be one of local, ray, got 'rai'; did you mean ray?"),
]


@pytest.mark.parametrize(("changes", "said"), ADDRESSES)
def test_what_does_not_fit_ray_is_refused(tmp_path, monkeypatch, changes, said):
    real = types.SimpleNamespace(origin="x")
    monkeypatch.setattr("retrain.config.cluster.importlib.util.find_spec", lambda name: real)
    (tmp_path / "a").mkdir()
    (problem,) = good_outputs(RunConfig(image_dir=str(tmp_path), **changes), tmp_path).problems()
    assert problem.startswith(said)


def test_an_address_that_nobody_answers_is_refused_at_once(tmp_path, monkeypatch):
    real = types.SimpleNamespace(origin="x")
    monkeypatch.setattr("retrain.config.cluster.importlib.util.find_spec", lambda name: real)
    (tmp_path / "a").mkdir()
    address = f"127.0.0.1:{free_port()}"
    config = good_outputs(RunConfig(image_dir=str(tmp_path), engine="ray", ray_address=address), tmp_path)
    (problem,) = config.problems()
    assert problem.startswith(f"cannot reach --ray_address={address}: ")


def test_photographs_in_this_process_cannot_go_to_another(memory, tmp_path, monkeypatch):
    memory.pipe("/p/a/1.jpg", b"1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("retrain.config.cluster.is_ray_installed", lambda: True)
    (problem,) = RunConfig(image_dir="memory://p", engine="ray").problems()
    assert "which no other process can see" in problem


def test_digests_that_workers_share_are_found_with_zeros_at_their_ends():
    from retrain.engines.digests import SharedDigests, shippable

    known = {digest(b"%d" % n) for n in range(500)} | {bytes(32), b"\1" + bytes(31), bytes(31) + b"\1"}
    shared = shippable(known)
    assert isinstance(shared, SharedDigests)
    assert all(sha in shared for sha in known)
    assert not any(digest(b"%d" % n) in shared for n in range(500, 1000))
    assert b"\2" + bytes(31) not in shared
    assert digest(b"1") not in shippable(set())
    assert shippable(()) == ()


def test_what_goes_to_workers_and_comes_back_survives_the_way(tmp_path):
    from support import tiny_tflite

    from retrain.backbones import FrozenBackbone
    from retrain.images import InputSpec

    (tmp_path / "tiny.tflite").write_bytes(tiny_tflite())
    backbone = FrozenBackbone(tmp_path / "tiny.tflite", InputSpec(2, 2, 127.5, 127.5))
    picture = encode(noise(2, 2))
    before = backbone(picture)  # an interpreter is open now
    there = copy.deepcopy(backbone)  # by the same methods as what Ray ships
    assert there(picture).tobytes() == before.tobytes()
    error = copy.deepcopy(ImageError("damaged", "cut off"))
    assert (error.reason, error.detail, str(error)) == ("damaged", "cut off", "damaged: cut off")
