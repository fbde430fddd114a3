"""Where weights with the head of ImageNet come from: those that name its 1,000 classes without any training.

The first source that has them is used: the file named by ``--weights``; model_dir, which holds what was imported from
Google's graphs and official files; the official Keras Applications file, fetched unless offline. No such weights ship
with this package.
"""

from __future__ import annotations

from pathlib import Path

from retrain.backbones.fetch import FetchError
from retrain.backbones.table import BackboneSpec
from retrain.backbones.weights import WeightsFile, fetch_weights, refuse_untrained, weights_file
from retrain.console import Console
from retrain.errors import WeightsError

TOP_SUFFIXES = (".npz", ".h5", ".pb")


def imported_top_path(spec: BackboneSpec, model_dir: Path) -> Path:
    """Say where ``weights import`` puts the weights of an architecture with their head.

    Args:
        spec: the architecture.
        model_dir: the folder of weights.

    Returns:
        A path in model_dir.
    """
    return model_dir / f"{spec.name}.imported_top.npz"


def top_at_hand(spec: BackboneSpec, model_dir: Path) -> WeightsFile | None:
    """Find weights with the head of ImageNet that need no network.

    Args:
        spec: the architecture.
        model_dir: the folder of weights.

    Returns:
        Imported ones, else official ones, else None.
    """
    for path, source in ((imported_top_path(spec, model_dir), "imported"), (model_dir / spec.top_file, "official")):
        if path.is_file():
            return weights_file(path, source)
    return None


def find_top_weights(
    spec: BackboneSpec, model_dir: Path, *, offline: bool, console: Console, given: Path | None = None
) -> WeightsFile:
    """Find the weights of an architecture with the head of ImageNet.

    Args:
        spec: the architecture.
        model_dir: where imported and official files lie, and where a fetched one is put.
        offline: never use the network.
        console: told what is tried.
        given: the file named by ``--weights``.

    Returns:
        The file that will be used.

    Raises:
        WeightsError: no source has them, or nobody can; the text lists what was tried, the file to fetch and where to
            put it.
    """
    if spec.network is not None:
        raise WeightsError(
            f"{spec.name} was never trained on ImageNet: expected an architecture of Keras Applications here; a model "
            "that you trained says itself what its classes are: give it as --graph"
        )
    if given is not None:
        if not given.is_file() or given.suffix not in TOP_SUFFIXES:
            raise WeightsError(f"expected --weights to be a file ending in {', '.join(TOP_SUFFIXES)}, got {given}")
        return weights_file(given, "given")
    ready = top_at_hand(spec, model_dir)
    if ready is not None:
        return ready
    try:
        if offline:
            raise FetchError(f"{spec.top_url}: not tried (--offline)")
        return weights_file(fetch_top(spec, model_dir, console), "official")
    except FetchError as error:
        raise WeightsError(_nothing(spec, model_dir, error)) from error


def fetch_top(spec: BackboneSpec, model_dir: Path, console: Console) -> Path:
    """Fetch the official weights of an architecture with the head of ImageNet, unless they are there.

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
    return fetch_weights(spec.top_url, model_dir / spec.top_file, spec.top_checksum, console)


def _nothing(spec: BackboneSpec, model_dir: Path, error: FetchError) -> str:
    place = model_dir / spec.top_file
    bundled = "\n  bundled with this package: without that head" if spec.bundled_file else ""
    return (
        f"no weights of {spec.name} with the head that names ImageNet's 1,000 classes. Tried:\n"
        f"  {imported_top_path(spec, model_dir)}: not there\n  {place}: not there\n  {error}{bundled}\n"
        f"Fetch {spec.top_url} on a machine with a network (python -m retrain weights fetch {spec.name} --top) and put "
        f"it at {place}, or name weights that you have with --weights."
    )
