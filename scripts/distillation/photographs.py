"""Folders and tars of photographs -> the list of those to learn from."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from retrain import fsio
from retrain.errors import ImageError, UsageError
from retrain.images import LIMITS, read_image_file, sniff_format

# Two photographs whose difference hashes differ in so few of 64 bits are taken for the same picture.
SAME_PICTURE_BITS = 4
_SHORTEST_SIDE = 64
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Photograph:
    """A photograph that is learnt from.

    Args:
        source: position of its folder or tar in the list of sources.
        member: its name in there.
        digest: sha256 of its bytes.
        held_out: only for evaluation.
    """

    source: int
    member: str
    digest: str
    held_out: bool


def read_source(source: Path) -> Iterator[tuple[str, bytes]]:
    """Read a folder (with its sub-folders) or tar of photographs, in an order that does not change.

    Args:
        source: the folder or tar.

    Yields:
        Name inside the source, and bytes.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                yield path.relative_to(source).as_posix(), read_image_file(path)
        return
    with tarfile.open(source) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and member.size <= LIMITS.max_bytes:
                yield member.name, file.read()


class Reader:
    """Reads photographs of several sources by name; tars stay open until the end of its ``with`` block."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self._sources = sources
        self._archives: dict[int, tarfile.TarFile] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self, photograph: Photograph) -> bytes:
        """Read one photograph's bytes."""
        source = self._sources[photograph.source]
        if source.is_dir():
            return read_image_file(source / photograph.member)
        if photograph.source not in self._archives:
            self._archives[photograph.source] = self._open.enter_context(tarfile.open(source))  # noqa: SIM115
        file = self._archives[photograph.source].extractfile(photograph.member)
        if file is None:
            raise ImageError("missing", f"{photograph.member} is no longer in {source}")
        return file.read()


def open_upright(data: bytes, short_side: int) -> Image.Image:
    """Decode a whole photograph; large JPEGs at a half, quarter or eighth that is still large enough.

    The one decode beside retrain/images/: a crop needs the picture before it is squeezed to the model's shape.

    Args:
        data: the file's bytes.
        short_side: pixels that the shorter side should keep, where it has them.

    Returns:
        RGB, upright.

    Raises:
        ImageError: it is not a whole image, or a very small or very long one.
    """
    try:
        with Image.open(io.BytesIO(data), formats=(sniff_format(data),)) as image:
            _check_shape(image.size)
            image.draft("RGB", (short_side, short_side))
            return ImageOps.exif_transpose(image).convert("RGB")
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever the damage led them to, see retrain/images/
        raise ImageError("damaged", str(error) or type(error).__name__) from error


def _check_shape(size: tuple[int, int]) -> None:
    if min(size) < _SHORTEST_SIDE or max(size) > 4 * min(size):
        raise ImageError("shape", f"{size[0]} x {size[1]}: a side under {_SHORTEST_SIDE} px, or longer than 4 to 1")
    if size[0] * size[1] > LIMITS.max_pixels:
        raise ImageError("too large", f"{size[0]} x {size[1]}")


def difference_hashes(image: Image.Image) -> tuple[int, int]:
    """Hash a picture by where its brightness rises from left to right, as it is and mirrored.

    Args:
        image: any size.

    Returns:
        Two numbers of 64 bits; near-copies differ in few bits.
    """
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return _bits(small), _bits(small[:, ::-1])


def _bits(small: npt.NDArray[np.int16]) -> int:
    return int.from_bytes(np.packbits((small[:, 1:] > small[:, :-1]).ravel()).tobytes(), "big")


def is_near(hashes: Iterable[int], others: Hashes) -> bool:
    """Whether a hash is within SAME_PICTURE_BITS of any of the others."""
    return any(bool((_different_bits(others, value) <= SAME_PICTURE_BITS).any()) for value in hashes)


def _different_bits(others: Hashes, value: int) -> npt.NDArray[np.int64]:
    different = (others ^ np.uint64(value)).view(np.uint8).reshape(-1, 8)
    bits: npt.NDArray[np.int64] = np.unpackbits(different, axis=1).sum(axis=1, dtype=np.int64)
    return bits


def hashes_to_keep_out(sources: Sequence[Path]) -> Hashes:
    """Hash the photographs that must not be learnt from.

    Args:
        sources: folders and tars, such as sets that the weights will be measured on.

    Returns:
        uint64 (N,); damaged photographs are left out, as they are in a measurement.
    """
    found: set[int] = set()
    for source in sources:
        for _, data in read_source(source):
            try:
                found.add(difference_hashes(open_upright(data, 160))[0])
            except ImageError:
                continue
    return np.array(sorted(found), np.uint64)


def list_photographs(
    sources: Sequence[Path], keep_out: Hashes, held_out_every: int
) -> tuple[list[Photograph], dict[str, int]]:
    """Choose the photographs to learn from.

    Args:
        sources: folders and tars.
        keep_out: hashes of photographs whose near-copies are left out.
        held_out_every: one photograph in so many, by its own bytes, is held out for evaluation.

    Returns:
        The photographs, in the order of their digests (which mixes the sources); how many were left out and why.
    """
    kept: dict[str, Photograph] = {}
    left_out: Counter[str] = Counter()
    for number, source in enumerate(sources):
        for member, data in read_source(source):
            digest = hashlib.sha256(data).hexdigest()
            reason = "exact copy" if digest in kept else _why_not(data, keep_out)
            if reason:
                left_out[reason] += 1
                continue
            kept[digest] = Photograph(number, member, digest, int(digest[-8:], 16) % held_out_every == 0)
    return [kept[digest] for digest in sorted(kept)], dict(left_out)


def _why_not(data: bytes, keep_out: Hashes) -> str:
    try:
        image = open_upright(data, 160)
    except ImageError as error:
        return error.reason
    return "near-copy of a photograph to keep out" if is_near(difference_hashes(image), keep_out) else ""


def saved_list(path: Path, sources: Sequence[Path], keep_out: Sequence[Path], held_out_every: int) -> list[Photograph]:
    """List the photographs, or read the list that an earlier run made.

    Args:
        path: where the list lies, JSON.
        sources: folders and tars to learn from.
        keep_out: folders and tars not to learn from.
        held_out_every: see list_photographs.

    Returns:
        The photographs.

    Raises:
        UsageError: there are none.
    """
    if not path.exists():
        listed, left_out = list_photographs(sources, hashes_to_keep_out(keep_out), held_out_every)
        if not listed:
            raise UsageError(f"expected photographs in {', '.join(map(str, sources))}; left out: {left_out}")
        facts = {"left_out": left_out, "photographs": [asdict(photograph) for photograph in listed]}
        fsio.write_text(path, json.dumps(facts))
    return [Photograph(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["photographs"]]
