"""Fetches a module through tensorflow_hub into its cache: the child's side of hub.py (tensorflow_hub needs TensorFlow).

What tensorflow_hub decides: which address is asked for, and where in the cache the module goes, whole or not at all.
What is done here in its place: the line has a timeout, redirects may not leave https, sizes are bounded, and the
archive is unpacked by archive.py.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from retrain.backbones.archive import MAX_UNPACKED_BYTES, unpack_all
from retrain.config.handles import may_be_fetched
from retrain.errors import RetrainError, WeightsError

TIMEOUT_S = 30.0


def main() -> int:
    """Fetch one module; called by hub.py in a child process, under its lock.

    Returns:
        An exit code of retrain.errors.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.backbones.hub_fetch", description=__doc__)
    parser.add_argument("handle", help="address of the module")
    parser.add_argument("cache", type=Path, help="folder of tensorflow_hub's cache")
    arguments = parser.parse_args()
    try:
        fetch_module(arguments.handle, arguments.cache)
    except RetrainError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def fetch_module(handle: str, cache: Path) -> None:
    """Have tensorflow_hub fetch a module.

    Args:
        handle: its address.
        cache: folder of tensorflow_hub's cache.

    Raises:
        WeightsError: it could not be had, or is not an archive that is unpacked.
    """
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    os.environ |= {"TFHUB_CACHE_DIR": str(cache), "TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED"}
    try:
        hub = importlib.import_module("tensorflow_hub")
        registry = importlib.import_module("tensorflow_hub.registry")
        errors = importlib.import_module("tensorflow").errors
    except ImportError as error:
        raise WeightsError(
            f"cannot import tensorflow_hub ({error}); pip install 'tensorflow-hub>=0.16.1' 'setuptools<82', "
            "or give a folder or an archive as --tfhub_module"
        ) from error
    registry.resolver.add_implementation(_careful_resolver())  # the last one added is asked first
    try:
        hub.resolve(handle)
    except (OSError, HTTPException, ValueError, errors.OpError) as error:  # HTTPError and URLError are OSErrors
        raise WeightsError(f"cannot fetch {handle}: {error}") from error


def _careful_resolver() -> Any:  # noqa: ANN401 - tensorflow_hub has no types
    compressed = importlib.import_module("tensorflow_hub.compressed_module_resolver")
    resolver = importlib.import_module("tensorflow_hub.resolver")

    class Careful(compressed.HttpCompressedFileResolver):  # type: ignore[misc, name-defined]
        """tensorflow_hub's own, but for how the bytes come and what becomes of them."""

        def __call__(self, handle: str) -> str:
            def download(address: str, folder: str) -> None:
                request = urllib.request.Request(self._append_compressed_format_query(address))  # noqa: S310 - checked
                with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self._context) as answer:  # noqa: S310
                    _receive(answer, Path(folder), address)

            # The part of tensorflow_hub that says where in the cache a module goes.
            place = compressed._module_dir(handle)
            return str(resolver.atomic_download(handle, download, place))

    return Careful()


def _receive(answer: Any, folder: Path, source: str) -> None:  # noqa: ANN401 - an HTTPResponse
    if not may_be_fetched(answer.url):
        raise WeightsError(f"cannot fetch {source}: its server sends us on to {answer.url}, which is not https")
    # Beside the folder that it will fill, and without a name: whatever happens, nothing stays.
    with tempfile.TemporaryFile(dir=folder.parent) as archive:
        room = min(MAX_UNPACKED_BYTES, shutil.disk_usage(folder.parent).free)
        _copy(answer, archive, room, source)
        archive.seek(0)
        unpack_all(archive, folder, source)


def _copy(answer: Any, archive: IO[bytes], room: int, source: str) -> None:  # noqa: ANN401
    said = answer.length
    if said is not None and said > room:
        raise WeightsError(f"cannot fetch {source}: it has {said} bytes, and at most {room} can be taken")
    got = 0
    while block := answer.read(1 << 16):
        got += len(block)
        if got > room:
            raise WeightsError(f"cannot fetch {source}: it has more than {room} bytes, which is all that can be taken")
        archive.write(block)
    if said is not None and got < said:
        raise WeightsError(f"cannot fetch {source}: expected {said} bytes, got {got} before the connection broke")


if __name__ == "__main__":
    sys.exit(main())
