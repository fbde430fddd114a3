"""Bottleneck vectors out to other programs: NumPy, Parquet, and the original's text files."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrain import fsio
from retrain.bottlenecks.entries import damaged_entries, name_of
from retrain.bottlenecks.maintain import read_meta
from retrain.bottlenecks.matrix import Floats
from retrain.bottlenecks.opening import reading
from retrain.bottlenecks.store import is_whole, root_key
from retrain.errors import CacheError, RetrainError, UsageError


@dataclass(frozen=True)
class Export:
    """The vectors of an image folder.

    Args:
        paths: of the photographs, relative to the folder: "globular cluster/m13.jpg".
        sha256s: of their contents, 64 hexadecimal digits each.
        vectors: float32 (N, width).
        architecture: whose vectors they are.
    """

    paths: tuple[str, ...]
    sha256s: tuple[str, ...]
    vectors: Floats
    architecture: str

    @property
    def labels(self) -> list[str]:
        """The class folder of each photograph."""
        return [path.split("/", 1)[0] for path in self.paths]


def load_export(path: Path, image_dir: str = "") -> Export:
    """Read the vectors of an image folder out of a cache file; unverified ones are left in.

    Args:
        path: the cache file.
        image_dir: the folder; empty where the cache knows only one.

    Returns:
        The vectors, in the order of the paths.

    Raises:
        UsageError: the folder is not in the cache, or there are several to choose from.
        CacheError: a vector is damaged.
    """
    with reading(path) as db:
        meta = read_meta(db, path)
        if meta["format"] != "1" and (damage := damaged_entries(db, 1)):
            raise CacheError(f"{path}: {damage[0]}; move it away and run python -m retrain again")
        width, root = int(meta["width"]), _root(db, path, image_dir)
        query = (
            "SELECT f.path, v.sha256, v.vector, v.checksum FROM files AS f JOIN vectors AS v ON v.sha256 = f.sha256 "
            "WHERE f.root = ? ORDER BY f.path"
        )
        count = db.execute(f"SELECT count(*) FROM ({query})", (root,)).fetchone()[0]  # noqa: S608
        vectors = np.empty((count, width), np.float32)
        paths, shas = list[str](), list[str]()
        for index, (name, *row) in enumerate(db.execute(query, (root,))):
            if not is_whole((row[0], row[1], row[2]), 4 * width):
                raise CacheError(f"{path}: the vector of {os.fsdecode(name)} is damaged; run python -m retrain first")
            vectors[index] = np.frombuffer(row[1], "<f4")
            paths.append(os.fsdecode(name))
            shas.append(row[0].hex())
    return Export(tuple(paths), tuple(shas), vectors, path.stem.rpartition("-")[0])


def _root(db: sqlite3.Connection, path: Path, image_dir: str) -> bytes:
    roots = [root for (root,) in db.execute("SELECT DISTINCT root FROM files")]
    if image_dir and root_key(image_dir) in roots:
        return root_key(image_dir)
    if not image_dir and len(roots) == 1:
        return bytes(roots[0])
    known = ", ".join(map(name_of, roots)) or "none"
    raise UsageError(f"expected --image_dir to be one of the folders in {path}, got {image_dir or 'none'}; has {known}")


def write_npz(export: Export, target: Path) -> None:
    """Write ``vectors``, ``paths``, ``labels`` and ``sha256`` as NumPy arrays.

    Args:
        export: the vectors.
        target: the file to create or replace; numpy.load reads it with its default allow_pickle=False.
    """
    with fsio.replacing(target) as file:
        np.savez(
            file,
            vectors=export.vectors,
            paths=np.array(export.paths, np.str_),
            labels=np.array(export.labels, np.str_),
            sha256=np.array(export.sha256s, np.str_),
        )


def write_parquet(export: Export, target: Path) -> None:
    """Write a table with the columns path, label, sha256 and vector (a list of fixed size).

    Args:
        export: the vectors.
        target: the file to create or replace.

    Raises:
        RetrainError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise RetrainError(
            "expected pyarrow for --format=parquet, found none; install it with pip install 'retrain-photos[parquet]', "
            "or use --format=npz"
        ) from error
    width = export.vectors.shape[1]
    table = pa.table(
        {
            # Parquet holds UTF-8 only, file names anything.
            "path": pa.array([_utf8(path) for path in export.paths], pa.string()),
            "label": pa.array([_utf8(label) for label in export.labels], pa.string()),
            "sha256": pa.array(export.sha256s, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(export.vectors.reshape(-1)), width),
        }
    )
    with fsio.replacing(target) as file:
        parquet.write_table(table, file)


def _utf8(text: str) -> str:
    return text.encode("utf-8", errors="backslashreplace").decode()


def write_texts(export: Export, target: Path) -> None:
    """Write the original's text files: ``<target>/<class>/<photograph>_<architecture>.txt``, numbers between commas.

    Args:
        export: the vectors.
        target: a folder that must not be there yet; it appears whole or not at all.

    Raises:
        UsageError: it is there.
    """
    if os.path.lexists(target):
        raise UsageError(f"expected --output to be a new folder, got {target}, which is there; choose another name")
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        for path, vector in zip(export.paths, export.vectors, strict=True):
            name = fsio.safe_join(part, f"{path}_{export.architecture}.txt")
            with fsio.open_log(name) as file:
                # str of a float32, as the original: the shortest text that reads back as the same number.
                file.write(",".join(map(str, vector)).encode())
        if hasattr(os, "sync"):
            os.sync()  # once, where an fsync of each file would take longer than all the rest
        fsio.move(part, target)
    finally:
        fsio.discard(part)
