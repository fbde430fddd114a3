"""Photographs by number, decoded: read from the store where they are in it, otherwise from their files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrain.errors import ImageError, RetrainError
from retrain.images import InputSpec, Pixels, decode_rgb, read_image_file
from retrain.pixels.store import PixelStore


class Pictures:
    """Decoded photographs of one size; may be used from several threads.

    Args:
        photographs: path or URL, and SHA-256 of the bytes in hexadecimal, of each.
        spec: size and stretch.
        folder: of the store; empty: decode each time.
        limit_bytes: what the store may take on the disk; the rest is decoded each time.

    Raises:
        CacheError: the store cannot be opened, or the disk has no room for it.
    """

    def __init__(
        self, photographs: Sequence[tuple[str, str]], spec: InputSpec, folder: str | Path = "", limit_bytes: int = 0
    ) -> None:
        self.spec = spec
        self._paths = [path for path, _ in photographs]
        self._digests = [bytes.fromhex(sha256) for _, sha256 in photographs]
        self._store = PixelStore(folder, spec, self._digests, limit_bytes) if folder else None

    @property
    def kept(self) -> int:
        """How many different photographs are in the store."""
        return 0 if self._store is None else len(self._store)

    def fill(self, numbers: Sequence[int] | npt.NDArray[np.intp], out: Pixels) -> None:
        """Read or decode photographs.

        Args:
            numbers: which, N of them.
            out: uint8 (N, H, W, 3), contiguous; RGB, upright, 0 to 255, written to.

        Raises:
            ImageError: a file is no image any more, or cannot be read.
            RetrainError: a file is not what it was when the run began.
            CacheError: the store cannot be read or written.
        """
        digests = [self._digests[number] for number in numbers]
        missing = range(len(digests)) if self._store is None else self._store.read(digests, out)
        for place in missing:
            out[place] = decode_file(self._paths[numbers[place]], digests[place], self.spec)
        if self._store is not None and missing:
            self._store.put([digests[place] for place in missing], [out[place] for place in missing])

    def close(self) -> None:
        """Close the store's files."""
        if self._store is not None:
            self._store.close()


def decode_file(path: str, sha256: bytes, spec: InputSpec) -> Pixels:
    """Decode a photograph whose content is known.

    Args:
        path: of the file, or its URL.
        sha256: digest that its bytes must have.
        spec: size and stretch.

    Returns:
        uint8 (H, W, 3), RGB, upright, 0 to 255.

    Raises:
        ImageError: it is no image any more, or cannot be read.
        RetrainError: it is not what it was when the run began.
    """
    try:
        data = read_image_file(path)
        found = hashlib.sha256(data).digest()
        if found == sha256:
            return decode_rgb(data, spec)
    except ImageError as error:
        raise ImageError(error.reason, f"{path}: {error.detail}") from error
    raise RetrainError(
        f"expected {path} to be the photograph that the run began with (SHA-256 {sha256.hex()}), got another "
        f"({found.hex()}): it was changed while the network was trained; run the command again"
    )
