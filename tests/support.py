"""Helpers of the tests: folders of photographs, a backbone and an engine that are functions of bytes, tiny models."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sqlite3
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from retrain.bottlenecks import Extraction, Job, Stamp
from retrain.bottlenecks.entries import checked_entry
from retrain.bundle import Bundle
from retrain.dataset import Catalog, ImageRecord
from retrain.errors import ImageError

BENCH = Path(__file__).resolve().parents[1] / "bench"
WIDTH = 8
FINGERPRINT = "ab" * 32
HOUR_NS = 3600 * 10**9


def fake_features(data: bytes) -> np.ndarray:
    """A backbone: float32 (WIDTH,) in 0 to 1, a function of the bytes."""
    return (np.frombuffer(hashlib.sha256(data).digest(), "<u4") / 2**32).astype(np.float32)


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def write_tree(root: Path, classes: Mapping[str, Mapping[str, bytes]]) -> Path:
    """Make class folders with files of the given contents."""
    for name, files in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (root / name / file).write_bytes(content)
    return root


def encode(picture: Image.Image | np.ndarray, image_format: str = "PNG", **options: object) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(seed: int, size: tuple[int, int] = (200, 160)) -> Image.Image:
    """A picture with structure at several scales, as photographs have."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((size[1], size[0], 3))
    for cells, strength in ((4, 120), (12, 70), (32, 50)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        whole += strength / 255 * np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), float)
    return Image.fromarray(whole.clip(0, 255).astype(np.uint8))


def catalog_of(classes: Mapping[str, Iterable[bytes]], root: str = "photos") -> tuple[Catalog, list[bytes]]:
    """A catalog that exists in memory only, and the digest of each photograph."""
    records, shas = [], []
    for label, contents in enumerate(classes.values()):
        for number, content in enumerate(contents):
            records.append(ImageRecord(f"{list(classes)[label]}/{number}.jpg", label, len(content), 0, 0))
            shas.append(digest(content))
    return Catalog(root, tuple(classes), tuple(records)), shas


class FakeEngine:
    """Extracts with fake_features, in this thread.

    A file that starts with ``bad`` is an ImageError; the content ``stop`` is a Ctrl-C. What was read and what was
    extracted is kept. Files count as read an hour from now, so that the racy rule trusts what was written just now.
    """

    def __init__(self, read_later_ns: int = HOUR_NS) -> None:
        self.read: list[str] = []
        self.extracted: list[str] = []
        self._read_later_ns = read_later_ns

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        for job in jobs:
            data = Path(job.path).read_bytes()
            if data == b"stop":
                raise KeyboardInterrupt
            self.read.append(Path(job.path).name)
            status = Path(job.path).stat()
            stamp = Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            sha, vector, error = digest(data), None, None
            if data.startswith(b"bad"):
                error = ImageError("damaged", "starts with bad")
            elif sha not in known:
                self.extracted.append(Path(job.path).name)
                vector = fake_features(data)
            yield Extraction(job.index, time.time_ns() + self._read_later_ns, sha, vector, error, stamp)


def vouch(db: sqlite3.Connection) -> None:
    """Give the entries of a cache's index, which a test has forged, the checksums of what they say now."""
    rows = db.execute("SELECT root, path, size, mtime_ns, ctime_ns, read_ns, sha256 FROM files").fetchall()
    db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [checked_entry(row) for row in rows])


def bundle_of(labels: Sequence[str] = ("globular cluster", "open cluster"), **changes: object) -> Bundle:
    facts = {
        "labels": tuple(labels),
        "input_height": 2,
        "input_width": 2,
        "input_mean": 127.5,
        "input_std": 127.5,
        "input_node": "input",
        "output_node": "final_result",
        "architecture": "mobilenet_0.50_224",
        "weights_source": "bundled",
        "weights_sha256": "0" * 64,
        "feature_width": 12,
        "head_step": 7,
        "split_sha256": "1" * 64,
        "training": {"steps": 10.0, "learning_rate": 0.01},
        "versions": {"python": "3.11.0"},
    }
    return Bundle(**{**facts, **changes})


def tiny_graph() -> bytes:
    """A frozen backbone of two nodes: ``bottleneck`` is ``input``."""
    from tensorboard.compat.proto import types_pb2
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef()
    source = graph.node.add(name="input", op="Placeholder")
    source.attr["dtype"].type = types_pb2.DT_FLOAT
    result = graph.node.add(name="bottleneck", op="Identity", input=["input"])
    result.attr["T"].type = types_pb2.DT_FLOAT
    graph.versions.producer = 134
    return graph.SerializeToString(deterministic=True)


def tiny_tflite() -> bytes:
    """A LiteRT backbone of one operation: float32 (1, 2, 2, 3) -> the same numbers as float32 (1, 12)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, b"tiny"
    empty, shape = schema.BufferT(), schema.BufferT()
    shape.data = np.frombuffer(np.array([1, 12], "<i4").tobytes(), np.uint8)
    model.buffers = [empty, shape]
    graph.tensors = [
        _tensor(schema, "input", (1, 2, 2, 3), schema.TensorType.FLOAT32, 0),
        _tensor(schema, "shape", (2,), schema.TensorType.INT32, 1),
        _tensor(schema, "bottleneck", (1, 12), schema.TensorType.FLOAT32, 0),
    ]
    code, operator, options = schema.OperatorCodeT(), schema.OperatorT(), schema.ReshapeOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = 1
    options.newShape = [1, 12]
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.ReshapeOptions, options
    graph.inputs, graph.outputs, graph.operators, graph.name = [0], [2], [operator], b"main"
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(schema: object, name: str, shape: tuple[int, ...], kind: int, buffer: int) -> object:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
    return tensor


def lines_of(text: str) -> list[str]:
    """The lines of what a command printed."""
    return text.splitlines()


@contextlib.contextmanager
def bench_on_path() -> Iterator[None]:
    """Let the benchmarks be imported as they import each other, by bare names; other tests must not see those."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))
    try:
        yield
    finally:
        sys.path.remove(str(BENCH))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
                del sys.modules[name]
