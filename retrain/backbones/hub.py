"""SavedModels as backbones: TensorFlow Hub's modules, Kaggle's, one's own; a folder, an archive or an address.

The hub's convention: ``__call__`` or a signature takes RGB in 0 to 1, float32 (N, height, width, 3), and gives a row of
features for each photograph. What is at hand is described without TensorFlow; it is fetched and converted in processes
of their own, once. Later runs read the module's hash and open the converted files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.backbones.archive import TF1_MARK, ModuleFiles, read_module
from retrain.backbones.prepare import LOCK_TIMEOUT_S, PreparedBackbone, open_or_convert, run_child
from retrain.backbones.table import BackboneSpec
from retrain.backbones.weights import WeightsFile
from retrain.config.handles import is_handle, module_name
from retrain.console import Console
from retrain.errors import WeightsError
from retrain.graphs import SAVED_MODEL
from retrain.graphs.checked import MAX_GRAPH_BYTES
from retrain.graphs.foreign import MAX_FEATURES, MAX_INPUT_PIXELS
from retrain.graphs.inline import Skeleton, write_out
from retrain.graphs.savedmodel import Entry, find_entry, parse_saved_model, refusal_of_tensorflow_1
from retrain.images import InputSpec

# What TensorFlow Hub's own tutorials feed to a module that takes pictures of any size, unless they know better.
USUAL_SIZE = 224
# ImageNet's classes, with and without "background".
_CLASS_COUNTS = (1000, 1001)


@dataclass(frozen=True)
class HubRequest:
    """What is asked for with ``--tfhub_module``.

    Args:
        module: folder, archive or address.
        model_dir: where converted files and fetched modules are kept.
        output: name of the output that the features are, or empty to find it.
        input_size: pixels a side, or 0 to find it.
        offline: never use the network.
    """

    module: str
    model_dir: Path
    output: str = ""
    input_size: int = 0
    offline: bool = False

    @property
    def cache(self) -> Path:
        """Where tensorflow_hub puts what it fetches."""
        return self.model_dir / "tfhub"

    @property
    def cached(self) -> Path:
        """Where in the cache an address goes: tensorflow_hub's rule."""
        return self.cache / hashlib.sha1(self.module.encode(), usedforsecurity=False).hexdigest()

    @property
    def path(self) -> Path | None:
        """Where the module lies; None where it is to be fetched first."""
        if not is_handle(self.module):
            return Path(self.module)
        return _module_in(self.cached)


@dataclass(frozen=True)
class _Described:
    files: ModuleFiles
    entry: Entry
    skeleton: Skeleton
    height: int
    width: int


def hub_spec(request: HubRequest) -> BackboneSpec:
    """Describe a SavedModel as a backbone; neither TensorFlow nor the network is touched here.

    Args:
        request: what is asked for.

    Returns:
        A row for it. One that is yet to be fetched has a feature_width of 0: prepare_hub gives the true row.

    Raises:
        WeightsError: it is not a SavedModel that can be used, or is not there and may not be fetched.
    """
    if request.path is not None:
        return _spec(request, _describe(request, request.path))
    if request.offline:
        raise WeightsError(
            f"{request.module} has not been fetched, and with --offline it is not; run once without --offline, or "
            f"unpack its archive on this machine to {request.cached}, or give folder or archive as --tfhub_module"
        )
    size = request.input_size or USUAL_SIZE
    return _row(request, "hub:", InputSpec(size, size, 127.5, 127.5), 0)


def prepare_hub(request: HubRequest, *, console: Console) -> PreparedBackbone:
    """Open a SavedModel's converted files, or make them; fetch it first where need be.

    Args:
        request: what is asked for.
        console: told what is done.

    Returns:
        The backbone, its files present and whole.

    Raises:
        WeightsError: it cannot be had, used or converted.
    """
    path = request.path or _fetched(request, console)
    described = _describe(request, path)
    _read.cache_clear()  # a large module's graph is not kept while photographs are read
    spec = _spec(request, described)
    _tell(request, described, console)
    more = ["--hub", f"--bottleneck_tensor={request.output}"]
    more += [f"--input_height={described.height}", f"--input_width={described.width}"]
    return open_or_convert(
        spec,
        WeightsFile(path, "hub", described.files.sha256),
        request.model_dir,
        *more,
        console=console,
        told=f"Converting {request.module} at {described.entry.name}, once (TensorFlow takes a few seconds).",
    )


def _module_in(folder: Path) -> Path | None:
    """Find a SavedModel in a folder of the cache, or in the one folder that its archive had around it."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    below = sorted(one for one in folder.iterdir() if one.is_dir() and (one / SAVED_MODEL).is_file())
    return below[0] if len(below) == 1 and not (folder / SAVED_MODEL).is_file() else folder


def _fetched(request: HubRequest, console: Console) -> Path:
    # Trap: tensorflow_hub's own lock is <cached>.lock, and it waits until there is no file of that name.
    with fsio.locked(request.cache / f"{request.cached.name}.fetching", timeout_s=LOCK_TIMEOUT_S):
        if request.path is None:
            _sweep(request.cached)
            console.line(f"Fetching {request.module} through tensorflow_hub, once.")
            child = run_child("retrain.backbones.hub_fetch", request.module, str(request.cache))
            if child.returncode != 0 or request.path is None:
                tail = "\n".join((child.stderr or child.stdout).strip().splitlines()[-3:])
                raise WeightsError(f"{tail}\nWithout a network, give a folder or an archive as --tfhub_module.")
    path = request.path
    if path is None:
        raise WeightsError(f"{request.cached} vanished after {request.module} was fetched; run again")
    return path


def _sweep(cached: Path) -> None:
    """Remove what a killed fetch left; tensorflow_hub would wait ten minutes for its lock. Our own is held."""
    fsio.remove(cached.with_name(f"{cached.name}.lock"))
    for leftover in cached.parent.glob(f"{cached.name}.*.tmp"):
        fsio.discard(leftover)


def _describe(request: HubRequest, path: Path) -> _Described:
    files = _read(path, _stamp(path))
    if TF1_MARK in files.names:
        raise WeightsError(refusal_of_tensorflow_1(str(path)))
    if not files.saved_model:
        raise WeightsError(f"expected {path} to hold a {SAVED_MODEL}, got none; check that it is a SavedModel")
    meta = parse_saved_model(files.saved_model, str(path))
    entry = find_entry(meta, str(path), request.output)
    height, width = _size(request, entry)
    skeleton = write_out(meta, entry, height, width)
    if not 0 < skeleton.features <= MAX_FEATURES:
        raise WeightsError(
            f"expected {entry.name} of {path} to give 1 to {MAX_FEATURES} features, got a number unknown"
        )
    if skeleton.variables and "variables/variables.index" not in files.names:
        raise WeightsError(f"expected {path} to hold variables/variables.index, got none; copy the whole folder")
    return _Described(files, entry, skeleton, height, width)


def _stamp(path: Path) -> tuple[Any, ...]:
    """What changes when a module does: sizes and times of its files."""
    try:
        found = [path]
        if path.is_dir():
            names = [path / SAVED_MODEL, path / TF1_MARK, *sorted((path / "variables").glob("*"))]
            found = [one for one in names if one.exists()]
        return tuple((str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in found)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error


@lru_cache(maxsize=1)
def _read(path: Path, _stamped: tuple[Any, ...]) -> ModuleFiles:
    # Read to check it before the disk is touched, and again to prepare it: a large archive takes seconds.
    return read_module(path, MAX_GRAPH_BYTES)


def _size(request: HubRequest, entry: Entry) -> tuple[int, int]:
    given = request.input_size
    height, width = entry.height or given or USUAL_SIZE, entry.width or given or USUAL_SIZE
    if given and (height, width) != (given, given):
        raise WeightsError(
            f"got --tfhub_input_size={given}, but {request.module} takes photographs of {width} x {height} pixels "
            "only; leave the flag away"
        )
    if max(height, width) > MAX_INPUT_PIXELS:
        raise WeightsError(
            f"expected {request.module} to take at most {MAX_INPUT_PIXELS} pixels a side, got {width} x {height}"
        )
    return height, width


def _tell(request: HubRequest, described: _Described, console: Console) -> None:
    entry, skeleton = described.entry, described.skeleton
    if not (entry.height and entry.width) and not request.input_size:
        console.line(
            f"The module takes photographs of any size and does not say which is best: using {described.width} x "
            f"{described.height} pixels, as TensorFlow Hub's tutorials do; --tfhub_input_size chooses another."
        )
    if skeleton.scores or skeleton.features in _CLASS_COUNTS or "logit" in entry.output_name.lower():
        what = "probabilities" if skeleton.scores else "class scores"
        console.line(
            f"The module's {skeleton.features} numbers a photograph seem to be {what}, not features; they can be "
            "trained on, but a module that gives feature vectors usually does better."
        )


def _spec(request: HubRequest, described: _Described) -> BackboneSpec:
    entry = described.entry
    builder = f"hub:{entry.name}:{entry.output_name}:{described.height}x{described.width}"
    input_spec = InputSpec(described.height, described.width, 127.5, 127.5)
    return _row(request, builder, input_spec, described.skeleton.features)


def _row(request: HubRequest, builder: str, input_spec: InputSpec, features: int) -> BackboneSpec:
    return BackboneSpec(
        name=f"hub_{module_name(request.module)}",
        builder=builder,
        arguments={},
        preprocessing="tf",
        input_spec=input_spec,
        feature_width=features,
        parameters=0,
        multiply_adds=0,
        weight_arrays=0,
        official_url="",
        official_checksum="",
    )
