"""The memory beside a model: vectors of training photographs, so that it can say what a photograph is most alike to.

``retrained_graph.memory.npz`` is a NumPy archive of three arrays, not compressed and without a date, so that the same
run writes the same bytes. Vectors are kept as int8 in proportion to the largest number of each: a cosine is off by at
most 0.0033 among 375 flower photographs, for a quarter of the size; the threshold of the unknown is found with these
vectors, so that it knows of the error. The file's hash is in the model's description.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import ModelError
from retrain.insight.neighbours import Floats, Indices, Takes, best_columns, unit_rows

ENDING = ".memory.npz"
# So many photographs are enough to say what a picture is alike to; 2 MB of 512 numbers each, 8 MB of 2,048.
MAX_ROWS = 4096
_MAX_BYTES = 1 << 26
_MAX_HEADER = 1000
_MEMBERS: dict[str, np.dtype[Any]] = {
    "vectors.npy": np.dtype("i1"),
    "labels.npy": np.dtype("<i4"),
    "names.npy": np.dtype("u1"),
}
# The earliest that a ZIP file can say.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Neighbour:
    """A training photograph that another one is alike to.

    Args:
        path: below the image folder.
        label: class name.
        cosine: of the two bottleneck vectors, -1 to 1; 1 for the same direction.
    """

    path: str
    label: str
    cosine: float


@dataclass(frozen=True)
class Memory:
    """Vectors of training photographs.

    Args:
        vectors: int8 (M, D), each in proportion to its own largest number.
        labels: int32 (M,), of each.
        names: path of each, below the image folder.
    """

    vectors: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int32]
    names: tuple[str, ...]

    @cached_property
    def units(self) -> Floats:
        """float32 (M, D), of length 1."""
        return unit_rows(self.vectors)

    def nearest(self, vector: Floats, labels: Sequence[str], k: int) -> tuple[Neighbour, ...]:
        """Find the photographs that are most alike.

        Args:
            vector: float32 (D,), a bottleneck vector.
            labels: names of the classes.
            k: how many at most.

        Returns:
            Nearest first.
        """
        # Not a matrix product: label_image asks from a thread a core, and BLAS would start its own beside them.
        cosines = np.einsum("md,d->m", self.units, unit_rows(vector.reshape(1, -1))[0])
        rows, values = best_columns(cosines[None, :], min(k, len(self.names)))
        return tuple(
            Neighbour(self.names[row], labels[self.labels[row]], float(value))
            for row, value in zip(rows[0], values[0], strict=True)
        )

    def to_bytes(self) -> bytes:
        """Write it.

        Returns:
            An .npz, the same bytes for the same memory on every machine.
        """
        names = json.dumps(self.names, ensure_ascii=True).encode()
        arrays = (self.vectors, self.labels.astype("<i4"), np.frombuffer(names, np.uint8))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in zip(_MEMBERS, arrays, strict=True):
                member = io.BytesIO()
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
                entry = zipfile.ZipInfo(name, _NO_DATE)
                entry.create_system = 3  # else it would tell Windows from the rest
                archive.writestr(entry, member.getvalue())
        return file.getvalue()


def choose_rows(labels: Indices, training: Indices, contents: Sequence[bytes], limit: int = MAX_ROWS) -> Indices:
    """Choose the photographs that are remembered: all, or as many of each class as can be.

    Args:
        labels: intp (N,).
        training: intp (M,), those that may be.
        contents: N digests; those of a class with the smallest are taken, so that photographs that are added or
            renamed change little.
        limit: how many at most.

    Returns:
        intp (m,), ascending.
    """
    if len(training) <= limit:
        return np.sort(training)
    quota = _quota(np.bincount(labels[training]), limit)
    by_content = sorted(training.tolist(), key=lambda row: contents[row])
    left, chosen = quota.tolist(), []
    for row in by_content:
        if left[labels[row]]:
            left[labels[row]] -= 1
            chosen.append(row)
    return np.array(sorted(chosen), np.intp)


def _quota(counts: npt.NDArray[np.intp], limit: int) -> npt.NDArray[np.intp]:
    """Share out a limit: small classes are taken whole, the others get equally much."""
    quota = np.zeros_like(counts)
    open_classes, left = counts > 0, limit
    while left and open_classes.any():
        share = max(1, left // int(open_classes.sum()))
        for label in np.flatnonzero(open_classes):
            more = min(share, int(counts[label] - quota[label]), left)
            quota[label] += more
            left -= more
        open_classes = quota < counts
    return quota


def make_memory(rows: Takes, labels: Indices, paths: Sequence[str], chosen: Indices) -> Memory:
    """Remember photographs.

    Args:
        rows: vectors, (N, D).
        labels: intp (N,).
        paths: of the photographs.
        chosen: intp (M,), which of them.

    Returns:
        The memory.
    """
    vectors = rows.take(chosen)
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scaled = np.rint(vectors * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)
    # A name that is no Unicode comes from the disk with lone surrogates, which JSON writes as escapes and gives back.
    return Memory(scaled, labels[chosen].astype(np.int32), tuple(paths[row] for row in chosen))


def read_memory(path: Path, sha256: str, feature_width: int, class_count: int) -> Memory:
    """Read the memory of a model; nothing in it is ever run.

    Args:
        path: the file.
        sha256: that the model's description says it has.
        feature_width: D.
        class_count: C.

    Returns:
        The memory.

    Raises:
        ModelError: it cannot be read, is not the one the model was written with, or is damaged.
    """
    data = _bounded(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"{path} is not the file that the model was written with; copy both from one run")
    try:
        return _parsed(data, feature_width, class_count)
    except (
        ValueError, TypeError, KeyError, SyntaxError, EOFError, OverflowError, RecursionError, NotImplementedError,
        RuntimeError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ModelError(f"{path} is damaged ({error}); train the model again") from error


def _bounded(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelError(f"expected {path}, which the run wrote beside the model; copy it there, or train again")
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise ModelError(f"expected {path} to have at most {_MAX_BYTES} bytes, got {size}; train the model again")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _parsed(data: bytes, feature_width: int, class_count: int) -> Memory:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if [entry.filename for entry in entries] != list(_MEMBERS):
            raise ValueError(f"expected {', '.join(_MEMBERS)} in it")
        # What is not compressed cannot be larger than the file, which is bounded.
        if any(one.compress_type != zipfile.ZIP_STORED or one.file_size > len(data) for one in entries):
            raise ValueError("an array is compressed")
        vectors, labels, text = (_array(archive.read(one), _MEMBERS[one.filename]) for one in entries)
    names = json.loads(text.tobytes())
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the names are no list of names")
    if vectors.shape != (len(names), feature_width) or labels.shape != (len(names),) or not names:
        raise ValueError(f"expected {len(names)} vectors of {feature_width}, got {vectors.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= class_count:
        raise ValueError(f"expected labels of {class_count} classes")
    return Memory(vectors, labels, tuple(names))


def _array(member: bytes, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Read one array; its header is believed only where it fits the bytes that follow."""
    file = io.BytesIO(member)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array of another version")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
    if dtype != kind or columns_first or any(side < 0 for side in shape):
        raise ValueError(f"expected {kind}, got {dtype}")
    rest = member[file.tell() :]
    count = 1
    for side in shape:
        count *= side
    if count * kind.itemsize != len(rest):
        raise ValueError(f"an array of {shape} with {len(rest)} bytes")
    return np.frombuffer(rest, kind).reshape(shape)
