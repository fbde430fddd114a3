"""No damaged byte of what is kept becomes a wrong vector, picture or number: it is noticed, named, or made anew."""

import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import fake_run
import flips
import numpy as np
import pytest
from support import FINGERPRINT, fake_features

from retrain.backbones.prepare import PreparedBackbone, _at, is_converted
from retrain.backbones.weights import weights_file
from retrain.bottlenecks import BlobTable, BottleneckStore
from retrain.bottlenecks.entries import checked_entry, is_whole_entry
from retrain.bottlenecks.export import load_export
from retrain.bottlenecks.maintain import check_cache, stats_of
from retrain.bottlenecks.prune import prune
from retrain.bottlenecks.store import checked_row, is_whole
from retrain.bottlenecks.transfer import read_text
from retrain.cli import read_config
from retrain.errors import CacheError, RetrainError
from retrain.images import InputSpec
from retrain.outset import spec_of
from retrain.pixels import PixelStore
from retrain.trainer.checkpoints import Checkpoints
from retrain.trainer.progress import Progress

VECTOR = np.random.default_rng(4).standard_normal(1024).astype(np.float32)
DIGEST = hashlib.sha256(b"a photograph").digest()
ENTRY = (b"/photographs", b"cats/1.jpg", 70_000, 10**18, 10**18 + 1, 2 * 10**18, DIGEST)


def test_every_bit_and_every_prefix_of_a_row_of_1024_numbers_is_noticed():
    sha, blob, checksum = checked_row(DIGEST, VECTOR)
    assert is_whole((sha, blob, checksum), 4096)
    for _, changed in flips.flipped(sha + blob, range(8 * (32 + 4096))):
        assert not is_whole((changed[:32], changed[32:], checksum), 4096)
    for bit in range(64):
        assert not is_whole((sha, blob, checksum ^ 1 << bit), 4096)
    for length in range(4096):
        assert not is_whole((sha, blob[:length], checksum), 4096)
    for length in range(32):
        assert not is_whole((sha[:length], blob, checksum), 4096)


def test_every_bit_and_every_prefix_of_an_entry_of_the_index_is_noticed():
    row = list(checked_entry(ENTRY))
    assert is_whole_entry(row)
    for place, value in enumerate(row):
        if isinstance(value, int):
            changes = [value ^ 1 << bit for bit in range(63)]
        else:
            changes = [data for _, data in flips.flipped(value, range(8 * len(value)))]
            changes += [value[:length] for length in range(len(value))]
        for change in changes:
            assert not is_whole_entry([*row[:place], change, *row[place + 1 :]]), (place, change)


@pytest.mark.parametrize("value", [None, 1.0, "1", b"1", -(2**63)])
def test_an_entry_of_other_types_is_none(value):
    row = list(checked_entry(ENTRY))
    for place in range(len(row)):
        assert not is_whole_entry([*row[:place], value, *row[place + 1 :]])


def test_names_that_were_mixed_up_in_the_index_give_no_other_files_vector(tmp_path):
    # One bit makes 1.jpg of 3.jpg, 256 bytes apart in nothing else: until entries had checksums, a wrong vector.
    path = tmp_path / "cache.sqlite"
    flips.make_cache(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM files WHERE path = ?", (b"cats/0.jpg",))
        db.execute("UPDATE files SET path = ? WHERE path = ?", (b"cats/0.jpg", b"cats/1.jpg"))
    with BottleneckStore(path, FINGERPRINT, flips.WIDTH) as store:
        assert store.recognise(flips.ROOT, flips.RECORDS) == [None, None, *flips.CONTENTS[2:]]
    assert check_cache(path).damage == ("damaged entry of cats/0.jpg in the index",)


def test_a_turned_bit_anywhere_in_a_cache_gives_no_wrong_vector(tmp_path):
    path = tmp_path / "cache.sqlite"
    data = flips.make_cache(path)
    found = flips.outcomes(
        path, flips.flipped(data, flips.spread(8 * len(data), 400, seed=1)), lambda: flips.read_cache(path)
    )
    assert found[flips.WHOLE] > 200  # most of a small file is room
    assert min(found[flips.ABSENT], found[flips.ASIDE], found[flips.REFUSED]) > 0


def test_what_sqlite_says_of_damage_in_words_that_are_no_text_is_damage(tmp_path):
    path = tmp_path / "cache.sqlite"
    data = flips.make_cache(path)
    place = data.index(b"CREATE TABLE vectors") + len("CREATE TABLE ")
    path.write_bytes(data[:place] + b"\xc1\xc1\xc1 (" + data[place + 5 :])
    assert flips.read_cache(path) == flips.ASIDE
    path.write_bytes(data[:place] + b"\xc1\xc1\xc1 (" + data[place + 5 :])
    with pytest.raises(CacheError, match=r"cache\.sqlite"):
        check_cache(path)


def test_what_a_cache_says_of_itself_in_bytes_is_refused(tmp_path):
    path = tmp_path / "cache.sqlite"
    flips.make_cache(path)
    for key in ("width", "fingerprint", "format"):
        with closing(sqlite3.connect(path)) as db, db:
            (before,) = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            db.execute("UPDATE meta SET value = CAST(value AS BLOB) WHERE key = ?", (key,))
        with pytest.raises(CacheError, match=r"cache\.sqlite"):
            check_cache(path)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (before, key))
    assert check_cache(path).damage == ()


def test_those_who_look_after_a_cache_stop_at_a_turned_bit_with_a_sentence(tmp_path):
    path = tmp_path / "cache.sqlite"
    data = flips.make_cache(path)
    bits = flips.spread(8 * len(data), 150, seed=2)
    found = flips.outcomes(path, flips.flipped(data, bits), lambda: flips.look_after(path))
    assert found.total() == 150


def test_a_run_over_a_damaged_cache_computes_what_is_missing_and_leaves_a_whole_one(tmp_path):
    path, data = flips.make_set(tmp_path)
    bits = flips.spread(8 * len(data), 120, seed=3)
    found = flips.outcomes(path, flips.flipped(data, bits), lambda: flips.collected(tmp_path, path))
    assert found[flips.WHOLE] > 60, found
    assert found[flips.NEW] + found[flips.ABSENT] + found[flips.ASIDE] > 10


def test_a_cache_cut_anywhere_gives_no_wrong_vector(tmp_path):
    path = tmp_path / "cache.sqlite"
    data = flips.make_cache(path)
    found = flips.outcomes(path, flips.cut(data, range(0, len(data), 97)), lambda: flips.read_cache(path))
    assert found[flips.WHOLE] == 0
    assert found[flips.ASIDE] > 10


def test_a_damaged_write_ahead_log_costs_its_last_batches_and_nothing_else(tmp_path):
    path = tmp_path / "cache.sqlite"
    flips.make_cache(path)
    with BottleneckStore(path, FINGERPRINT, flips.WIDTH) as store:
        store.put([(DIGEST, fake_features(b"more"))], flips.ROOT, [])
        log = path.with_name(f"{path.name}-wal").read_bytes()
        copy, beside = flips.opened_beside(tmp_path, path, log)
    assert flips.CONTENTS[0] in log or DIGEST in log
    whole = copy.read_bytes()
    for _, changed in flips.flipped(log, flips.spread(8 * len(log), 60, seed=5)):
        copy.write_bytes(whole)
        beside.write_bytes(changed)
        with BottleneckStore(copy, FINGERPRINT, flips.WIDTH) as store:
            matrix, bad = store.read_matrix([*flips.CONTENTS[:-1], DIGEST])
        right = [*flips.VECTORS[:-1], fake_features(b"more")]
        assert set(bad) <= {len(right) - 1}
        assert all((matrix[n] == right[n]).all() for n in range(len(right)) if n not in bad)


def test_a_prefix_of_an_originals_text_is_rejected_but_within_its_last_number(tmp_path):
    # ... where it cannot be told from a whole one: that is why what is imported counts as unverified.
    numbers = np.random.default_rng(1).random(64).astype(np.float32)
    text = ",".join(map(str, numbers))
    path, taken = tmp_path / "1.jpg.txt", []
    for length in range(len(text) + 1):
        path.write_text(text[:length])
        found = read_text(path)
        if not isinstance(found, str) and len(found) == 64:
            assert np.isfinite(found).all()
            assert found[:-1].tobytes() == numbers[:-1].tobytes()
            taken.append(length)
    last = len(text) - len(str(numbers[-1]))
    assert min(taken) > last
    assert max(taken) == len(text)


def test_a_turned_bit_in_a_small_picture_is_noticed(tmp_path):
    path = tmp_path / "album.sqlite"
    blob = bytes(range(256)) * 4
    with BottleneckStore(path, FINGERPRINT, flips.WIDTH) as store:
        table = BlobTable(store, "pictures", "picture")
        table.keep([(DIGEST, blob)])
        for _, changed in flips.flipped(blob, flips.spread(8 * len(blob), 300, seed=6)):
            with store.writing() as db:
                db.execute("UPDATE pictures SET picture = ?", (changed,))
            assert table.read([DIGEST]) == {}


@pytest.mark.parametrize("suffix", [".rows", ".index"])
def test_a_turned_bit_in_decoded_photographs_is_noticed(tmp_path, suffix):
    spec = InputSpec(4, 4, 127.5, 127.5)
    pictures = np.random.default_rng(7).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    keys = [hashlib.sha256(bytes([n])).digest() for n in range(3)]
    store = PixelStore(tmp_path, spec, keys, 10**6)
    store.put(keys, list(pictures))
    path = store.path.with_suffix(suffix)
    store.close()
    data = path.read_bytes()
    for bit, changed in flips.flipped(data, range(8 * len(data))):
        path.write_bytes(changed)
        store, out = PixelStore(tmp_path, spec, keys, 10**6), np.empty_like(pictures)
        assert store.read(keys, out) == [bit // 8 // (len(data) // 3)]
        store.close()


def _checkpointed(folder: Path, arrays: list[np.ndarray]) -> Path:
    told: list[Path] = []
    with Checkpoints(folder, "d" * 64, 2, lambda step, path: told.append(path)) as checkpoints:
        checkpoints.write(Progress(step=5), arrays)
    return told[0]


def test_a_turned_bit_in_a_checkpoint_is_noticed_or_harmless(tmp_path):
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)]
    path = _checkpointed(tmp_path, [array.copy() for array in arrays])

    def read() -> str:
        with Checkpoints(tmp_path, "d" * 64, 2, print) as checkpoints:
            found = checkpoints.read(5)
        assert found.progress.step == 5
        assert [a.tobytes() for a in found.arrays] == [a.tobytes() for a in arrays]
        return flips.WHOLE

    data = path.read_bytes()
    bits = {*flips.spread(8 * len(data), 1500, seed=8), *range(8 * data.index(b"PK\x01\x02"), 8 * len(data))}
    found = flips.outcomes(path, flips.flipped(data, sorted(bits)), read)
    assert found[flips.REFUSED] > 500
    found = flips.outcomes(path, flips.cut(data, range(0, len(data), 11)), read)
    assert found[flips.WHOLE] == 0


def _backbone(folder: Path) -> PreparedBackbone:
    config, problems = read_config(fake_run.prepare(folder, 3, 3))
    assert not problems
    return _at(spec_of(config), weights_file(Path(config.weights), "given"), Path(config.model_dir))


def test_a_turned_bit_in_weights_or_in_what_was_converted_of_them_is_another_backbone(tmp_path):
    found = _backbone(tmp_path)
    assert is_converted(found.spec, found.weights, found.tflite.parent)
    for path in (found.tflite, found.graph):
        data = path.read_bytes()
        for _, changed in flips.flipped(data, flips.spread(8 * len(data), 100, seed=9)):
            path.write_bytes(changed)
            assert not is_converted(found.spec, found.weights, found.tflite.parent)
        path.write_bytes(data)
    data = found.weights.path.read_bytes()
    for _, changed in flips.flipped(data, flips.spread(8 * len(data), 50, seed=10)):
        found.weights.path.write_bytes(changed)
        other = PreparedBackbone(found.spec, weights_file(found.weights.path, "given"), found.tflite, found.graph)
        assert other.fingerprint != found.fingerprint


def test_a_turned_bit_in_the_list_of_what_was_converted_is_noticed_or_harmless(tmp_path):
    found = _backbone(tmp_path)
    path = found.tflite.with_suffix(".json")
    data = path.read_bytes()
    told = json.loads(data)
    for _, changed in flips.flipped(data, range(8 * len(data))):
        path.write_bytes(changed)
        if is_converted(found.spec, found.weights, found.tflite.parent):
            now = json.loads(changed)
            assert all(now[name] == told[name] for name in ("tflite_sha256", "graph_sha256"))


def test_checkpoints_that_say_how_they_are_compressed_in_unknown_words_are_refused(tmp_path):
    path = _checkpointed(tmp_path, [np.ones(3, np.float32)])
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    data = bytearray(path.read_bytes())
    data[start + 10] = zipfile.ZIP_DEFLATED  # what follows is not deflated: zlib's own error
    path.write_bytes(data)
    with Checkpoints(tmp_path, "d" * 64, 2, print) as checkpoints, pytest.raises(RetrainError, match="cannot read"):
        checkpoints.read(5)


@pytest.mark.parametrize("column", ["root", "path"])
def test_names_in_the_index_that_are_none_stop_nobody_who_looks_after_a_cache(tmp_path, column):
    path = tmp_path / "cache.sqlite"
    flips.make_cache(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE files SET {column} = 5 WHERE path = ?", (b"cats/0.jpg",))  # noqa: S608
    assert stats_of(path).vectors == 5
    assert any("damaged entry of" in one for one in check_cache(path).damage)
    before = prune(path, dry_run=True)
    assert before.entries == 0
    with pytest.raises(CacheError, match="damaged entry of"):
        load_export(path, flips.ROOT)
