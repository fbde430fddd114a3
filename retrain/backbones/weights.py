"""Where pretrained weights come from. Nothing is ever silently random: without weights the run stops.

The first source that has them is used: the file named by ``--weights``; model_dir, which holds what was imported and
official files that were fetched or put there by hand; the official Keras Applications file, fetched from its publisher
(unless offline); the file bundled with this package. Which one it was is printed and recorded in the model, with its
hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio
from retrain.backbones.archive import read_module
from retrain.backbones.fetch import FetchError, fetch
from retrain.backbones.table import BUNDLED, BackboneSpec
from retrain.config import WEIGHT_SUFFIXES
from retrain.console import Console
from retrain.errors import WeightsError
from retrain.graphs.checked import MAX_GRAPH_BYTES

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# VGG19 is 80 MB without its top and 575 MB with it, ConvNeXt tiny 111 MB.
MAX_WEIGHT_BYTES = 700_000_000
# An offline machine falls back after this long at the most.
FETCH_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class WeightsFile:
    """A file of pretrained weights.

    Args:
        path: where it lies; a SavedModel is a folder or an archive.
        source: "given" (``--weights``), "imported" (``weights import``), "official" (Keras Applications), "bundled"
            (trained by this project), "graph" (``--backbone_graph``) or "hub" (``--tfhub_module``).
        sha256: hash of the file, or of the files of a SavedModel; 64 hexadecimal digits.
    """

    path: Path
    source: str
    sha256: str


def weights_file(path: Path, source: str) -> WeightsFile:
    """Describe a file that exists.

    Args:
        path: where it lies.
        source: see WeightsFile.

    Returns:
        The file with its hash.
    """
    return WeightsFile(path, source, fsio.sha256_file(path))


def imported_path(spec: BackboneSpec, model_dir: Path) -> Path:
    """Say where ``weights import`` puts the weights of an architecture.

    Args:
        spec: the architecture.
        model_dir: the folder of weights.

    Returns:
        A path in model_dir.
    """
    return model_dir / f"{spec.name}.imported.npz"


def weights_at_hand(spec: BackboneSpec, model_dir: Path, given: Path | None = None) -> WeightsFile | None:
    """Find weights that need no network: given, imported or official.

    Args:
        spec: the architecture.
        model_dir: the folder of weights.
        given: the file or SavedModel named by ``--weights``.

    Returns:
        The first there is.

    Raises:
        WeightsError: the given file cannot be used.
    """
    if given is not None:
        return _given_weights(given)
    return next(kept_weights(spec, model_dir), None)


def kept_weights(spec: BackboneSpec, model_dir: Path) -> Iterator[WeightsFile]:
    """Find all weights of an architecture that a folder keeps.

    Args:
        spec: the architecture.
        model_dir: the folder of weights.

    Yields:
        Imported ones, then official ones, where they are there; each is hashed when its turn comes.
    """
    places = [(imported_path(spec, model_dir), "imported")]
    if spec.official_url:
        places.append((model_dir / spec.official_file, "official"))
    for path, source in places:
        if path.is_file():
            yield weights_file(path, source)


def _given_weights(given: Path) -> WeightsFile:
    if given.is_dir():
        return WeightsFile(given, "given", read_module(given, MAX_GRAPH_BYTES).sha256)
    if not given.is_file() or given.suffix not in WEIGHT_SUFFIXES:
        raise WeightsError(
            f"expected --weights to be a file ending in {', '.join(WEIGHT_SUFFIXES)} or the folder of a SavedModel, "
            f"got {given}"
        )
    return weights_file(given, "given")


def bundled_weights(spec: BackboneSpec) -> WeightsFile | None:
    """Name the weights that ship with this package.

    Args:
        spec: an architecture.

    Returns:
        The file, or None where none ships.
    """
    if not spec.bundled_file:
        return None
    return weights_file(Path(__file__).parent / "bundled" / spec.bundled_file, "bundled")


def find_weights(
    spec: BackboneSpec, model_dir: Path, *, offline: bool, console: Console, given: Path | None = None
) -> WeightsFile:
    """Find the weights of an architecture.

    Args:
        spec: the architecture.
        model_dir: where imported and official files lie, and where a fetched one is put.
        offline: never use the network.
        console: told what is tried.
        given: the file named by ``--weights``.

    Returns:
        The file that will be used.

    Raises:
        WeightsError: no source has them; the text lists what was tried, the file to fetch and where to put it.
    """
    ready = weights_at_hand(spec, model_dir, given)
    if ready is not None:
        return ready
    refuse_untrained(spec)
    official = model_dir / spec.official_file
    tried = [f"{imported_path(spec, model_dir)}: not there", f"{official}: not there"]
    try:
        if offline:
            raise FetchError(f"{spec.official_url}: not tried (--offline)")
        fetch_official(spec, model_dir, console)
        return weights_file(official, "official")
    except FetchError as error:
        tried.append(str(error))
    bundled = bundled_weights(spec)
    if bundled is None:
        raise WeightsError(_nothing(spec, official, tried))
    console.line(f"Official weights not to be had ({tried[-1]}); using the bundled ones.")
    return bundled


def refuse_untrained(spec: BackboneSpec) -> None:
    """Refuse a network, of which nobody publishes weights.

    Args:
        spec: any.

    Raises:
        WeightsError: it is one; the text says how to come by weights.
    """
    if spec.network is not None:
        raise WeightsError(
            f"{spec.name} has no pretrained weights: give --train scratch to train it on your photographs, or the "
            "network.npz of a trained one as --weights"
        )


def fetch_official(spec: BackboneSpec, model_dir: Path, console: Console) -> Path:
    """Fetch the official weights of an architecture, unless they are there.

    Args:
        spec: the architecture.
        model_dir: where they go.
        console: shows how far it is.

    Returns:
        The file.

    Raises:
        FetchError: they could not be had.
        WeightsError: nobody publishes any.
    """
    refuse_untrained(spec)
    return fetch_weights(spec.official_url, model_dir / spec.official_file, spec.official_checksum, console)


def fetch_weights(url: str, target: Path, checksum: str, console: Console) -> Path:
    """Fetch a weight file of Keras Applications, unless it is there.

    Args:
        url: where from.
        target: where it goes.
        checksum: the published one, or empty.
        console: shows how far it is.

    Returns:
        The target.

    Raises:
        FetchError: it could not be had.
    """
    fetch(
        url,
        target,
        console=console,
        timeout_s=FETCH_TIMEOUT_S,
        checksum=checksum,
        max_bytes=MAX_WEIGHT_BYTES,
        magic=HDF5_MAGIC,
    )
    return target


def _nothing(spec: BackboneSpec, official: Path, tried: Sequence[str]) -> str:
    lines = "\n  ".join([*tried, f"bundled with this package: only {', '.join(BUNDLED)}"])
    return (
        f"no pretrained weights for {spec.name}. Tried:\n  {lines}\n"
        f"Fetch {spec.official_url} on a machine with a network and put it at {official}, "
        f"or use --architecture {next(iter(BUNDLED))}."
    )
