"""Where pretrained weights come from. Nothing is ever silently random: without weights the run stops.

The first source that has them is used: the official Keras Applications file in model_dir (put there by hand or by
an earlier run), the same file fetched from its publisher (unless offline), the file bundled with this package.
Which one it was is printed and recorded in the model, with its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retrain import fsio
from retrain.backbones.table import BackboneSpec
from retrain.console import Console
from retrain.errors import WeightsError

FETCH_TIMEOUT_S = 5.0
_CHUNK_BYTES = 1 << 16
_MAX_WEIGHT_BYTES = 200_000_000
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class WeightsFile:
    """A file of pretrained weights.

    Args:
        path: where it lies.
        source: "official" (Keras Applications) or "bundled" (trained by this project).
        sha256: hash of the file, 64 hexadecimal digits.
    """

    path: Path
    source: str
    sha256: str


def find_weights(spec: BackboneSpec, model_dir: Path, *, offline: bool, console: Console) -> WeightsFile:
    """Find the weights of an architecture.

    Args:
        spec: the architecture.
        model_dir: where official files lie, and where a fetched one is put.
        offline: never use the network.
        console: told what is tried.

    Returns:
        The file that will be used.

    Raises:
        WeightsError: no source has them; the text names the file to fetch and where to put it.
    """
    official = model_dir / spec.official_file
    tried = [f"{official}: not there"]
    if official.is_file():
        return WeightsFile(official, "official", fsio.sha256_file(official))
    if offline:
        tried.append(f"{spec.official_url}: not tried (--offline)")
    else:
        failure = _fetch(spec.official_url, official)
        if failure is None:
            return WeightsFile(official, "official", fsio.sha256_file(official))
        tried.append(f"{spec.official_url}: {failure}")
    if spec.bundled_file:
        console.line(f"Official weights not to be had ({tried[-1]}); using the bundled ones.")
        return bundled_weights(spec)
    lines = "\n  ".join([*tried, "bundled with this package: only mobilenet_0.50_224"])
    raise WeightsError(
        f"no pretrained weights for {spec.name}. Tried:\n  {lines}\n"
        f"Fetch {spec.official_url} on a machine with a network and put it at {official}, "
        "or use --architecture mobilenet_0.50_224."
    )


def bundled_weights(spec: BackboneSpec) -> WeightsFile:
    """Name the weights that ship with this package.

    Args:
        spec: an architecture with a bundled file.

    Returns:
        The file.
    """
    path = Path(__file__).parent / "bundled" / spec.bundled_file
    return WeightsFile(path, "bundled", fsio.sha256_file(path))


def _fetch(url: str, target: Path) -> str | None:
    """Fetch a file whole or not at all; returns why it could not be had."""
    import urllib.error  # here: 0.17 s, and needed once in a backbone's life
    import urllib.request

    try:
        # urlopen honours the proxy variables of the environment by itself.
        with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as answer, fsio.replacing(target) as file:  # noqa: S310
            expected = answer.headers.get("Content-Length")
            got = 0
            while chunk := answer.read(_CHUNK_BYTES):
                if got == 0 and not chunk.startswith(_HDF5_MAGIC):
                    raise OSError("what came is not an HDF5 weight file (a proxy's page?)")
                got += len(chunk)
                if got > _MAX_WEIGHT_BYTES:
                    raise OSError(f"over {_MAX_WEIGHT_BYTES} bytes came")
                file.write(chunk)
            if got == 0 or (expected is not None and got != int(expected)):
                raise OSError(f"{got} of {expected} bytes came")
    except urllib.error.HTTPError as error:
        return f"the server answered {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return str(reason) or type(error).__name__
    return None
