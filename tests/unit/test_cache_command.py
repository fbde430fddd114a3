import shutil
import sqlite3
import sys
import zipfile
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import WIDTH, digest, fake_features, lines_of
from test_maintain import Place

from retrain import cli, commands
from retrain.album import Kept
from retrain.bottlenecks import BottleneckStore
from retrain.bottlenecks.maintain import find_caches, stats_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import find_photographs, scan_folder, unpack_photographs
from retrain.doctor.kept import kept_facts
from retrain.errors import CacheError, RetrainError, UsageError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def run(place, capsys):
    def run(*words):
        assert commands.main(["cache", *map(str, words), "--bottleneck_dir", str(place.bottlenecks)], Console()) == 0
        return lines_of(capsys.readouterr().out)

    return run


def write_texts(place, suffix="_mobilenet_0.50_224", width=5, names=("cats/0", "cats/1", "dogs/2"), values=None):
    folder = place.folder / "texts"
    for index, name in enumerate(names):
        numbers = np.full(width, index + 0.5, np.float32) if values is None else values[index]
        target = folder / f"{name}.jpg{suffix}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(",".join(str(x) for x in numbers))
    return folder


def test_help_lists_the_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "python -m retrain cache stats" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        commands.main(["cache", "--help"], Console())
    said = capsys.readouterr().out
    assert all(f"cache {action}" in said for action in ("stats", "verify", "prune", "export", "import"))


def test_stats_say_what_there_is(place, run):
    place.add_views(b"cats 0", 2)
    (place.bottlenecks / "fake.sqlite.damaged-1").write_bytes(bytes(100))
    size = place.cache.stat().st_size
    assert run("stats") == [
        "fake-abababababab.sqlite",
        f"  architecture fake, fingerprint {'ab' * 32}, {WIDTH} numbers a vector",
        f"  6 vectors, 2 of distorted views; {size / 1e6:.1f} MB on the disk, {size // 8:,} bytes a vector",
        f"  6 files of {place.photos}",
        "fake.sqlite.damaged-1: set aside as damaged, 0.0 MB; cache prune --delete_cache",
    ]


def test_stats_of_an_empty_folder(place, run, tmp_path):
    place.cache.unlink()
    assert run("stats") == [f"no cache in {place.bottlenecks}"]


def test_verify_is_content_with_a_sound_cache(place, run):
    assert run("verify") == ["fake-abababababab.sqlite: 6 vectors, nothing wrong"]
    assert run("verify", "--image_dir", place.photos) == [
        "fake-abababababab.sqlite: 6 vectors, 6 files read again, nothing wrong"
    ]


def test_verify_lists_the_damage_and_ends_with_code_5(place, capsys):
    place.change("UPDATE vectors SET checksum = checksum + 1 WHERE sha256 = ?", digest(b"dogs 2"))
    (place.bottlenecks / "torn.sqlite").write_bytes(b"torn" * 99)
    assert cli.main(["cache", "verify", "--bottleneck_dir", str(place.bottlenecks)]) == CacheError.exit_code == 5
    said = capsys.readouterr()
    assert "6 vectors, 1 wrong\n  damaged vector of dogs/2.jpg\n" in said.out
    assert "torn.sqlite: " in said.out
    assert "found 2 damages" in said.err


def test_prune_says_what_went_and_a_dry_run_takes_nothing(place, run):
    (place.photos / "cats" / "0.jpg").unlink()
    dry = run("prune", "--dry_run")
    assert dry[0].startswith("fake-abababababab.sqlite: 1 entries of files that are gone, 1 vectors; would free about ")
    assert len(place.keys()) == 6
    done = run("prune")
    assert "; freed " in done[0]
    assert done[-1].endswith(" bytes in all")
    assert len(place.keys()) == 5


@pytest.mark.parametrize(
    "damage", ["UPDATE files SET path = 7 WHERE path = ?", "UPDATE files SET root = 7 WHERE path = ?"]
)
def test_prune_leaves_an_entry_whose_name_is_damaged(place, run, damage):
    with closing(sqlite3.connect(place.cache)) as db, db:
        assert db.execute(damage, (b"cats/0.jpg",)).rowcount == 1
    assert "0 entries of files that are gone, 0 vectors" in run("prune", "--dry_run")[0]


def test_prune_deletes_whole_caches_by_name_only(place, run):
    aside = place.bottlenecks / "fake.sqlite.damaged-1"
    aside.write_bytes(bytes(100))
    size = place.cache.stat().st_size
    words = ("prune", "--delete_cache", "fake-abababababab", "--delete_cache", aside.name)
    assert run(*words, "--dry_run")[-1] == f"would free about {size + 100:,} bytes in all"
    assert place.cache.exists()
    assert run(*words)[-1] == f"freed {size + 100:,} bytes in all"
    assert list(place.bottlenecks.iterdir()) == []
    with pytest.raises(UsageError, match="expected --delete_cache to name a file"):
        run("prune", "--delete_cache", "../photos")


def test_npz_holds_vectors_paths_labels_and_digests(place, run):
    assert run("export", "--output", place.folder / "out.npz")[0].startswith("wrote 6 vectors of 8 to ")
    with np.load(place.folder / "out.npz") as found:  # allow_pickle is False by default
        assert found["paths"].tolist() == [f"{c}/{n}.jpg" for c in ("cats", "dogs") for n in range(3)]
        assert found["labels"].tolist() == ["cats"] * 3 + ["dogs"] * 3
        contents = [f"{c} {n}".encode() for c in ("cats", "dogs") for n in range(3)]
        assert found["sha256"].tolist() == [digest(content).hex() for content in contents]
        assert (found["vectors"] == np.stack([fake_features(content) for content in contents])).all()
        assert found["vectors"].dtype == np.float32


def test_texts_are_laid_out_and_written_as_the_originals(place, run):
    run("export", "--format", "text", "--output", place.folder / "texts")
    vector = fake_features(b"cats 1")
    text = (place.folder / "texts" / "cats" / "1.jpg_fake.txt").read_text()
    assert text == ",".join(str(x) for x in vector)
    assert (np.array(text.split(","), np.float32) == vector).all()
    assert sorted(p.name for p in (place.folder / "texts").iterdir()) == ["cats", "dogs"]
    with pytest.raises(UsageError, match="is there; choose another name"):
        run("export", "--format", "text", "--output", place.folder / "texts")
    assert not list(place.folder.glob(".*.tmp"))


def test_parquet_without_pyarrow_says_how_to_install_it(place, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RetrainError, match=r"pip install 'retrain-photos\[parquet\]'"):
        run("export", "--format", "parquet", "--output", place.folder / "out.parquet")
    assert not (place.folder / "out.parquet").exists()


def test_parquet_holds_the_same(place, run):
    parquet = pytest.importorskip("pyarrow.parquet")
    run("export", "--format", "parquet", "--output", place.folder / "out.parquet")
    table = parquet.read_table(place.folder / "out.parquet").to_pydict()
    assert list(table) == ["path", "label", "sha256", "vector"]
    assert table["path"][4] == "dogs/1.jpg"
    assert np.array_equal(np.array(table["vector"][4], np.float32), fake_features(b"dogs 1"))


def test_a_damaged_vector_is_not_exported(place, run):
    place.change("UPDATE vectors SET checksum = checksum + 1 WHERE sha256 = ?", digest(b"dogs 2"))
    with pytest.raises(CacheError, match=r"dogs/2\.jpg is damaged"):
        run("export", "--output", place.folder / "out.npz")
    assert not (place.folder / "out.npz").exists()


def test_an_export_says_which_folders_there_are(place, run):
    assert place.change("UPDATE files SET root = ? WHERE path = ?", b"/other", b"cats/0.jpg") == 1
    with pytest.raises(UsageError, match="expected --image_dir to be one of the folders"):
        run("export", "--output", place.folder / "out.npz")
    assert run("export", "--output", place.folder / "out.npz", "--image_dir", place.photos)[0].startswith("wrote 5")


def test_texts_of_an_unknown_backbone_get_a_cache_of_their_own(place, run):
    said = run("import", write_texts(place), "--image_dir", place.photos)
    ours, theirs = sorted(find_caches(str(place.bottlenecks)), key=lambda path: path.name)
    assert theirs.name.startswith("imported-")
    stats = stats_of(theirs)
    assert (stats.vectors, stats.width, stats.architecture) == (3, 5, "imported")
    assert stats.source == "text files *_mobilenet_0.50_224.txt, unverified"
    assert "0 not needed, 0 not taken, 3 photographs without" in said[0]
    assert said[1].startswith("No run uses them")
    assert stats_of(ours).unverified == 0
    run("export", theirs.stem, "--output", place.folder / "out.npz")
    with np.load(place.folder / "out.npz") as found:
        assert found["paths"].tolist() == ["cats/0.jpg", "cats/1.jpg", "dogs/2.jpg"]
        assert found["vectors"][:, 0].tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2,3,4", "expected 5 numbers, got 4"),
        ("1,2,3,4,x", "something that is no number"),
        ("1,2,3,4,", "something that is no number"),
        ("1,2,3,4,nan", "a number that is not finite"),
        ("1,2,3,4,1e99", "a number that is not finite"),
        ("", "something that is no number"),
        ("1,2,3,4,\xe9", "something that is no number"),
    ],
)
def test_texts_that_were_cut_or_spoilt_are_not_taken(place, run, text, reason):
    folder = write_texts(place)
    (folder / "cats" / "1.jpg_mobilenet_0.50_224.txt").write_text(text, encoding="latin-1")
    said = run("import", folder, "--image_dir", place.photos)
    assert reason in said[0]
    assert "imported 2 vectors of 5 numbers" in said[1]
    assert "1 not taken" in said[1]


def test_texts_of_several_backbones_are_told_apart(place, run):
    folder = write_texts(place)
    write_texts(place, suffix="_inception_v3", width=7)
    with pytest.raises(
        UsageError, match=r"expected --suffix .* found mobilenet_0\.50_224 \(3\), inception_v3 \(3\)|inc"
    ):
        run("import", folder, "--image_dir", place.photos)
    said = run("import", folder, "--image_dir", place.photos, "--suffix", "inception_v3")
    assert "imported 3 vectors of 7 numbers (*_inception_v3.txt)" in said[0]


def test_the_first_releases_texts_have_no_suffix(place, run):
    assert "imported 3 vectors of 5" in run("import", write_texts(place, suffix=""), "--image_dir", place.photos)[0]


@pytest.fixture
def backbone(place, monkeypatch):
    """In place of a real backbone: the one whose cache the place has, of the features that the place's engine gives."""
    spec = SimpleNamespace(name="fake", feature_width=WIDTH)
    prepared = SimpleNamespace(spec=spec, fingerprint="ab" * 32)
    catalog = scan_folder(str(place.photos), "folder")
    monkeypatch.setattr("retrain.outset.check", lambda config: (spec, catalog))
    monkeypatch.setattr("retrain.outset.prepare", lambda config, spec, console: prepared)
    monkeypatch.setattr("retrain.gather.extractor_of", lambda config, backbone: nullcontext(fake_features))


def forget_vectors(place):
    assert place.change("DELETE FROM vectors") == 6
    return [f"{c}/{n}" for c in ("cats", "dogs") for n in range(3)]


def right(name):
    return fake_features(name.replace("/", " ").encode())


IMPORT = ("--architecture", "mobilenet_0.50_224", "--image_dir")


@pytest.mark.usefixtures("backbone")
def test_texts_of_a_backbones_width_wait_beside_its_vectors(place, run):
    names = forget_vectors(place)
    folder = write_texts(place, names=names, values=[right(name) + np.float32(1) for name in names])
    with place.opened() as store:
        store.put([(digest(b"cats 0"), right("cats/0"))], str(place.photos), [])
    said = run("import", folder, *IMPORT, place.photos)
    assert "imported 5 vectors of 8 numbers" in said[0]
    assert "1 not needed" in said[0]
    assert said[1].startswith("They are used only with --use_unverified")
    assert (stats_of(place.cache).vectors, stats_of(place.cache).unverified) == (1, 5)

    lent = place.run(use_unverified=True)
    assert (lent.unverified, lent.extracted, lent.damaged) == (5, 0, 0)
    assert (lent.matrix[0] == right("cats/0")).all()
    assert (lent.matrix[5] == right("dogs/2") + np.float32(1)).all()

    own = place.run()
    assert (own.unverified, own.extracted, own.damaged) == (0, 5, 0)
    assert (own.matrix == np.stack([right(name) for name in names])).all()
    assert place.run(use_unverified=True).unverified == 0


@pytest.mark.usefixtures("backbone")
@pytest.mark.parametrize(
    ("offset", "sample", "vectors", "worst"),
    [(0.0, 2, 6, "0 of"), (1.0, 2, 2, "of its length"), (1.0, -1, 6, "of its length"), (0.0, 99, 6, "0 of")],
)
def test_a_sample_computed_again_decides_on_the_others(place, run, offset, sample, vectors, worst):
    names = forget_vectors(place)
    texts = [right(name) + np.float32(offset) for name in names]
    run("import", write_texts(place, names=names, values=texts), *IMPORT, place.photos)
    place.change("UPDATE files SET read_ns = read_ns + 3600000000000")
    said = run("verify", *IMPORT, place.photos, f"--recompute={sample}")
    tested = 2 if sample == 2 else 6
    assert said[0].startswith(f"{tested} computed again: the worst differs by ")
    assert worst in said[0]
    others = (4, 0) if tested == 2 and not offset else (0, 6 - tested)
    assert said[0].endswith(f"{others[0]} others are taken as verified, {others[1]} dropped")
    assert (stats_of(place.cache).vectors, stats_of(place.cache).unverified) == (vectors, 0)
    with place.opened() as store:
        matrix, bad = store.read_matrix([digest(name.replace("/", " ").encode()) for name in names])
    assert len(bad) == 6 - vectors
    assert all(
        (row == right(name)).all() for i, (row, name) in enumerate(zip(matrix, names, strict=True)) if i not in bad
    )


@pytest.mark.usefixtures("backbone")
def test_texts_of_another_width_than_the_backbones_get_a_cache_of_their_own(place, run):
    said = run("import", write_texts(place, width=1001), *IMPORT, place.photos)
    assert "1001 numbers and fake has 8 features" in said[0]
    assert len(find_caches(str(place.bottlenecks))) == 2


@pytest.mark.usefixtures("backbone")
def test_nothing_imported_is_nothing_to_compute_again(place, run):
    with pytest.raises(RetrainError, match="import them first"):
        run("verify", *IMPORT, place.photos, "--recompute=-1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stats", "--dry_run"], "--dry_run belongs to cache prune"),
        (["stats", "nothing"], "expected a cache in"),
        (["export"], "expected --output"),
        (["export", "a", "b", "--output", "x"], "expected one name"),
        (["import"], "expected a folder of text bottlenecks"),
        (["import", "."], "expected --image_dir"),
        (["verify", "--image_dir", "no/such"], "expected --image_dir to be a folder"),
        (["verify", "--recompute", "3"], "expected --image_dir .*, --architecture"),
        (["verify", "--architecture", "vgg16"], "belongs to --recompute"),
        (["frobnicate"], "invalid choice"),
        (["stats", "--image_list", "x"], "--image_list belongs to cache verify and export and import"),
        (["stats", "--recursive"], "--recursive belongs to cache verify and export and import"),
        (["import", ".", "--image_list", "no.csv"], "expected --image_list to be a CSV"),
        (["import", ".", "--image_dir", "/", "--recursive"], "which is a whole disk"),
        (["verify", "--image_dir", "s3://bucket/photos"], "expected --image_dir to lie on this machine"),
        (["verify", "--image_dir", "no.zip"], "to be a folder or an archive"),
        (["import", ".", "--archive_max_files", "0"], "expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(place, run, words, message):
    with pytest.raises(UsageError, match=message):
        run(*words)


def test_texts_of_other_photographs_are_none_of_these(place, run):
    folder = write_texts(place, names=("cats/77", "owls/1"))
    with pytest.raises(UsageError, match="expected text bottlenecks such as"):
        run("import", folder, "--image_dir", place.photos)


def test_imported_caches_open_again(place, run):
    folder = write_texts(place)
    run("import", folder, "--image_dir", place.photos)
    run("import", folder, "--image_dir", place.photos)
    path = find_caches(str(place.bottlenecks))[-1]
    with BottleneckStore(path, stats_of(path).fingerprint, 5) as store:
        assert len(store.known_hashes()) == 3


def pack(place, name="photos.zip", **more):
    """An archive of the place's photographs, with other contents if asked."""
    path = place.folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for photo in sorted(place.photos.rglob("*.jpg")):
            archive.writestr(photo.relative_to(place.photos).as_posix(), photo.read_bytes())
        for member, content in more.items():
            archive.writestr(f"cats/{member}.jpg", content)
    return path


def unpacked(place, archive):
    config = RunConfig(image_dir=str(archive), bottleneck_dir=str(place.bottlenecks))
    unpack_photographs(config, Console(quiet=True))
    return find_photographs(config)[1].root


def test_verify_and_import_take_lists(place, run):
    listed = place.folder / "list.csv"
    listed.write_text("path,label\nphotos/cats/0.jpg,cat\nphotos/cats/1.jpg,cat\nphotos/dogs/2.jpg,dog\n")
    place.change("UPDATE files SET root = ?, path = CAST('photos/' || path AS BLOB)", str(place.folder).encode())
    assert run("verify", "--image_list", listed) == [
        "fake-abababababab.sqlite: 6 vectors, 6 files read again, nothing wrong"
    ]
    texts = write_texts(place, names=("photos/cats/0", "photos/dogs/2"))
    assert "imported 2 vectors of 5 numbers" in run("import", texts, "--image_list", listed)[0]
    shutil.rmtree(texts)  # and those that lie by class alone, as the original laid them
    said = run("import", write_texts(place), "--image_list", listed, "--image_dir", place.folder)
    assert "imported 3 vectors" in said[0]
    assert "0 photographs without" in said[0]


def test_verify_and_import_take_archives_and_unpack_them(place, run):
    archive = pack(place)
    said = run("import", write_texts(place), "--image_dir", archive)
    assert said[0].startswith(f"Unpacking {archive} into ")
    assert "imported 3 vectors of 5 numbers" in said[-2]
    root = find_photographs(RunConfig(image_dir=str(archive), bottleneck_dir=str(place.bottlenecks)))[1].root
    place.change("UPDATE files SET root = ?", str(root).encode())
    said = run("verify", "fake-abababababab", "--image_dir", archive)
    assert said == [
        "fake-abababababab.sqlite: 6 vectors, 6 files read again, nothing wrong, 6 changed or gone since (a run notices)"
    ]


def test_an_archive_that_is_too_large_is_refused_until_it_is_allowed(place, run):
    archive = pack(place)
    with pytest.raises(UsageError, match="at most 5 files, got 6; raise --archive_max_files"):
        run("import", write_texts(place), "--image_dir", archive, "--archive_max_files", 5)
    assert "imported 3" in run("import", write_texts(place), "--image_dir", archive, "--archive_max_files", 6)[-2]


def test_unpacked_archives_are_shown_and_those_that_no_archive_is_there_for_are_removed(place, run):
    kept, gone = pack(place), pack(place, "other.zip", more=b"another")
    roots = [unpacked(place, archive) for archive in (kept, gone)]
    gone.unlink()
    said = run("stats")
    sizes = sorted(line for line in said if line.startswith("  " + str(place.folder)))
    assert sizes[0].startswith(f"  {gone}, 7 files, 0.0 MB; the archive is gone: cache prune removes it")
    assert sizes[1] == f"  {kept}, 6 files, 0.0 MB"
    assert run("stats", "fake-abababababab")[-1].startswith("  6 files of")
    for dry, done in ((["--dry_run"], "would be removed"), ([], "removed")):
        assert all(Path(root).is_dir() for root in roots)
        said = run("prune", *dry)
        assert any(f"{gone}: the archive is gone; 0.0 MB {done}" in line for line in said)
    assert [Path(root).is_dir() for root in roots] == [True, False]
    assert sorted(p.suffix for p in Path(roots[0]).parent.iterdir()) == ["", ".json"]


def test_named_caches_are_pruned_alone(place, run):
    archive = pack(place)
    root = unpacked(place, archive)
    archive.unlink()
    run("prune", "fake-abababababab")
    run("prune", "--delete_cache", "fake-abababababab")
    assert Path(root).is_dir()


def test_the_album_is_no_cache_of_vectors_but_looked_after_as_one(place, run):
    catalog = scan_folder(str(place.photos), "folder")
    shas = tuple(digest((place.photos / record.path).read_bytes()) for record in catalog.records)
    path = place.bottlenecks / "album-000000000000.sqlite"
    with Kept(path, "0" * 64, catalog.root, catalog.records, shas, Console(quiet=True)) as kept:
        kept.keep([(row, sha, b"a picture") for row, sha in enumerate(shas)])
    said = run("stats")
    at = said.index(path.name)
    assert said[at + 1].startswith("  small pictures of 6 photographs; ")
    assert said[at + 2].startswith("  6 files of ")
    assert run("export", "--output", place.folder / "out.npz")[0].startswith("wrote 6 vectors of 8 to ")
    assert f"{path.name}: 6 pictures, nothing wrong" in run("verify")
    (place.photos / "cats" / "1.jpg").unlink()
    assert run("prune")[0].startswith(f"{path.name}: 1 entries of files that are gone, 1 pictures; freed ")
    assert f"{path.name}: 5 pictures, nothing wrong" in run("verify")


def test_what_the_doctor_keeps_is_no_cache_of_vectors_but_looked_after_as_one(place, run):
    with kept_facts(str(place.bottlenecks), str(place.photos), Console(quiet=True), verify=False):
        pass
    (path,) = place.bottlenecks.glob("doctor-*.sqlite")
    said = run("stats")
    at = said.index(path.name)
    assert said[at + 1].startswith("  what the doctor found of 0 photographs; ")
    assert run("export", "--output", place.folder / "out.npz")[0].startswith("wrote 6 vectors of 8 to ")
    with pytest.raises(UsageError, match="expected the name of one cache"):
        run("export", path.stem, "--output", place.folder / "other.npz")
    assert f"{path.name}: 0 vectors, nothing wrong" in run("verify")
    assert run("prune", "--delete_cache", path.stem)
    assert not path.exists()
