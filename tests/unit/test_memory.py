import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest

from retrain.bottlenecks import MemoryMatrix
from retrain.errors import ModelError
from retrain.insight.memory import choose_rows, make_memory, read_memory
from retrain.insight.neighbours import unit_rows

NAMES = ["a/1.jpg", "b/é\n.jpg", "b/\udcff.jpg"]
CLASSES = ("a", "b")


@pytest.fixture
def memory():
    features = np.random.default_rng(0).uniform(-1, 4, (3, 8)).astype(np.float32)
    return make_memory(MemoryMatrix(features), np.array([0, 1, 1]), NAMES, np.arange(3))


def read(path, data, width=8, classes=2):
    path.write_bytes(data)
    return read_memory(path, hashlib.sha256(data).hexdigest(), width, classes)


def test_what_was_written_is_read(tmp_path, memory):
    back = read(tmp_path / "m.memory.npz", memory.to_bytes())
    assert (back.names, back.labels.tolist()) == (tuple(NAMES), [0, 1, 1])
    np.testing.assert_array_equal(back.vectors, memory.vectors)


def test_the_bytes_are_the_same_and_numpy_reads_them(memory):
    assert memory.to_bytes() == memory.to_bytes()
    with np.load(io.BytesIO(memory.to_bytes()), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["labels", "names", "vectors"]


def test_the_nearest_come_with_name_label_and_cosine(memory):
    nearest = memory.nearest(memory.vectors[1].astype(np.float32) * 7, CLASSES, 2)
    assert (nearest[0].path, nearest[0].label, nearest[0].cosine) == (NAMES[1], "b", pytest.approx(1))
    assert len(nearest) == 2
    assert nearest[1].cosine < 1
    assert len(memory.nearest(np.ones(8, np.float32), CLASSES, 9)) == 3


@pytest.mark.parametrize("width", [64, 512, 2048])
def test_one_byte_a_number_is_enough_for_a_cosine(width):
    # As a backbone gives them: never negative, many near 0, few large.
    features = np.random.default_rng(width).gamma(0.4, 1, (60, width)).astype(np.float32)
    memory = make_memory(MemoryMatrix(features), np.zeros(60, np.intp), ["x"] * 60, np.arange(60))
    exact = unit_rows(features) @ unit_rows(features).T
    np.testing.assert_allclose(unit_rows(features) @ memory.units.T, exact, atol=0.005)


def test_a_vector_of_zeros_is_kept(memory):
    zeros = make_memory(MemoryMatrix(np.zeros((1, 8), np.float32)), np.array([0]), ["z"], np.array([0]))
    assert zeros.vectors.tolist() == [[0] * 8]
    assert zeros.nearest(np.ones(8, np.float32), CLASSES, 1)[0].cosine == 0


def test_of_too_many_each_class_gets_equally_much_and_small_ones_all_of_theirs():
    labels = np.array([0] * 50 + [1] * 5 + [2] * 45)
    contents = [hashlib.sha256(bytes([n])).digest() for n in range(100)]
    chosen = choose_rows(labels, np.arange(100), contents, 25)
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 10]
    assert sorted(chosen) == chosen.tolist()
    assert choose_rows(labels, np.arange(100)[::-1], contents, 25).tolist() == chosen.tolist()
    assert choose_rows(labels, np.array([5, 3]), contents, 25).tolist() == [3, 5]
    assert len(choose_rows(labels, np.arange(100), contents, 2)) == 2


def test_a_file_of_another_run_or_none_is_refused(tmp_path, memory):
    path = tmp_path / "m.memory.npz"
    with pytest.raises(ModelError, match="which the run wrote beside the model"):
        read_memory(path, "0" * 64, 8, 2)
    path.write_bytes(memory.to_bytes())
    with pytest.raises(ModelError, match="not the file that the model was written with"):
        read_memory(path, "0" * 64, 8, 2)
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelError, match="which the run wrote"):
        read_memory(path, "0" * 64, 8, 2)


def test_a_huge_file_is_not_read(tmp_path, monkeypatch, memory):
    monkeypatch.setattr("retrain.insight.memory._MAX_BYTES", 100)
    with pytest.raises(ModelError, match="at most 100 bytes"):
        read(tmp_path / "m.memory.npz", memory.to_bytes())


def array(values, **options):
    file = io.BytesIO()
    np.save(file, values, **options)
    return file.getvalue()


def archive(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return file.getvalue()


def header(text):
    """An array file whose header is any text."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


GOOD = {
    "vectors.npy": array(np.ones((2, 8), np.int8)),
    "labels.npy": array(np.array([0, 1], "<i4")),
    "names.npy": array(np.frombuffer(b'["x", "y"]', np.uint8)),
}
HOSTILE = {
    "nothing": b"",
    "no archive": b"PK\x03\x04" + b"\0" * 60,
    "cut short": archive(GOOD)[:-30],
    "an array missing": archive({name: GOOD[name] for name in ("vectors.npy", "labels.npy")}),
    "an array too many": archive({**GOOD, "more.npy": b""}),
    "another order": archive(dict(reversed(GOOD.items()))),
    "a way out": archive({"../vectors.npy": b"", "labels.npy": b"", "names.npy": b""}),
    "compressed": archive(GOOD, zipfile.ZIP_DEFLATED),
    "pickled objects": archive({**GOOD, "names.npy": array(np.array(["x", {"y": 1}], object), allow_pickle=True)}),
    "floats": archive({**GOOD, "vectors.npy": array(np.ones((2, 8), np.float32))}),
    "columns first": archive({**GOOD, "vectors.npy": array(np.asfortranarray(np.ones((2, 8), np.int8)))}),
    "another width": archive({**GOOD, "vectors.npy": array(np.ones((2, 9), np.int8))}),
    "too few vectors": archive({**GOOD, "vectors.npy": array(np.ones((1, 8), np.int8))}),
    "no vectors": archive({
        "vectors.npy": array(np.ones((0, 8), np.int8)), "labels.npy": array(np.zeros(0, "<i4")),
        "names.npy": array(np.frombuffer(b"[]", np.uint8)),
    }),
    "a label too high": archive({**GOOD, "labels.npy": array(np.array([0, 2], "<i4"))}),
    "a label below 0": archive({**GOOD, "labels.npy": array(np.array([0, -1], "<i4"))}),
    "names that are numbers": archive({**GOOD, "names.npy": array(np.frombuffer(b"[1, 2]", np.uint8))}),
    "names that are no list": archive({**GOOD, "names.npy": array(np.frombuffer(b'{"x": 1}', np.uint8))}),
    "names that are no JSON": archive({**GOOD, "names.npy": array(np.frombuffer(b"[[[[", np.uint8))}),
    "names that are no UTF-8": archive({**GOOD, "names.npy": array(np.frombuffer(b'["\xff", "y"]', np.uint8))}),
    "names nested deeply": archive({**GOOD, "names.npy": array(np.frombuffer(b"[" * 100_000, np.uint8))}),
    "a shape larger than the file": archive(
        {**GOOD, "vectors.npy": header("{'descr': '|i1', 'fortran_order': False, 'shape': (1000000000000, 8), }\n")}
    ),
    "a shape below 0": archive(
        {**GOOD, "vectors.npy": header("{'descr': '|i1', 'fortran_order': False, 'shape': (-2, -8), }\n") + b"\1" * 16}
    ),
    "a header that is code": archive({**GOOD, "vectors.npy": header("__import__('os').system('true')\n")}),
    "a header of 60,000 bytes": archive({**GOOD, "vectors.npy": header("[" * 60_000)}),
    "a later version": archive({**GOOD, "vectors.npy": b"\x93NUMPY\x03\x00" + GOOD["vectors.npy"][8:]}),
}  # fmt: skip


def test_the_file_that_the_hostile_ones_are_made_of_is_read(tmp_path):
    assert read(tmp_path / "m.npz", archive(GOOD)).names == ("x", "y")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_model_error(tmp_path, name):
    with pytest.raises(ModelError, match="is damaged"):
        read(tmp_path / "m.npz", HOSTILE[name])


@pytest.mark.parametrize("offset", range(0, 900, 7))
def test_a_flipped_bit_is_never_more_than_a_model_error(tmp_path, memory, offset):
    data = bytearray(memory.to_bytes())
    data[offset % len(data)] ^= 1 << (offset % 8)
    try:
        back = read(tmp_path / "m.npz", bytes(data))
    except ModelError:
        return
    assert back.vectors.shape == (3, 8)
