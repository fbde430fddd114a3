"""Keep a backbone's converted files in model_dir: made once, checked by hash each time they are opened."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio, leash
from retrain.backbones.table import BackboneSpec
from retrain.backbones.weights import WeightsFile, bundled_weights, find_weights, weights_at_hand, weights_file
from retrain.console import Console
from retrain.errors import NumericalError, WeightsError
from retrain.graphs.checked import MAX_GRAPH_BYTES
from retrain.graphs.foreign import describe_graph
from retrain.images import PREPROCESSING_VERSION

# Part of every fingerprint: raise it when convert.py comes to write a network that computes something else.
CONVERSION_VERSION = 1
# The same for builders that a change concerned alone: EfficientNet's pixels were not normalised as in its training.
_VERSION_OF_BUILDER = {f"EfficientNetB{number}": 2 for number in range(4)}
# Another run may be fetching weights over a slow line; it shows how far it is.
LOCK_TIMEOUT_S = 2 * 3600.0


@dataclass(frozen=True)
class PreparedBackbone:
    """A backbone ready to run.

    Args:
        spec: the architecture.
        weights: which weights it holds.
        tflite: LiteRT file: float32 (1, H, W, 3) -> float32 (1, feature_width).
        graph: frozen GraphDef with the nodes ``input`` and ``bottleneck``.
        precision: what vectors are computed in: "float32" or "bfloat16".
    """

    spec: BackboneSpec
    weights: WeightsFile
    tflite: Path
    graph: Path
    precision: str = "float32"

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides a bottleneck vector besides the photograph: 64 hexadecimal digits."""
        facts = {
            "architecture": self.spec.name,
            "builder": self.spec.builder,
            "weights": self.weights.sha256,
            "input": self.spec.input_spec.numbers,
            "preprocessing": PREPROCESSING_VERSION,
            "conversion": _conversion_version(self.spec),
        }
        if self.precision != "float32":  # which keeps the fingerprints of before there was a choice
            facts["precision"] = self.precision
        if self.spec.input_spec.sky is not None:  # likewise
            facts["sky"] = self.spec.input_spec.sky.fingerprint
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def prepare_backbone(
    spec: BackboneSpec, model_dir: Path, *, offline: bool, console: Console, weights: Path | None = None
) -> PreparedBackbone:
    """Open a backbone's converted files, or make them.

    Args:
        spec: the architecture.
        model_dir: where the files are kept.
        offline: never use the network.
        console: told what is done.
        weights: a file to use in place of every other source.

    Returns:
        The backbone, its files present and whole.

    Raises:
        WeightsError: no weights are to be had, or they do not fit.
    """
    with fsio.locked(model_dir / spec.name, timeout_s=LOCK_TIMEOUT_S):
        ready = _already_converted(spec, model_dir, weights)
        if ready is not None:
            return ready
        found = find_weights(spec, model_dir, offline=offline, console=console, given=weights)
        prepared = _at(spec, found, model_dir)
        if not _whole(prepared):
            console.line(f"Converting {spec.name}, once (TensorFlow takes a few seconds).")
            _convert(prepared)
        return prepared


def graph_spec(graph: Path, bottleneck_tensor: str) -> BackboneSpec:
    """Describe a frozen graph as a backbone; TensorFlow never sees it here.

    Args:
        graph: a .pb file.
        bottleneck_tensor: where its features are, or empty to find them.

    Returns:
        A row for it, named after the file; its builder names the bottleneck.

    Raises:
        WeightsError: the graph is not known, not allowed, or cannot be read.
    """
    try:
        if graph.stat().st_size > MAX_GRAPH_BYTES:
            raise WeightsError(f"expected {graph} to have at most {MAX_GRAPH_BYTES} bytes")
        found = describe_graph(graph.read_bytes(), bottleneck_tensor)
    except OSError as error:
        raise WeightsError(f"cannot read {graph}: {error.strerror}") from error
    name = re.sub(r"[^A-Za-z0-9._-]", "_", graph.stem)[:40] or "graph"
    return BackboneSpec(
        name=f"graph_{name}",
        builder=f"graph:{found.bottleneck_node}",
        arguments={},
        preprocessing="tf",
        input_spec=found.input_spec,
        feature_width=found.feature_width,
        parameters=0,
        multiply_adds=0,
        weight_arrays=0,
        official_url="",
        official_checksum="",
    )


def prepare_graph(spec: BackboneSpec, graph: Path, model_dir: Path, *, console: Console) -> PreparedBackbone:
    """Open a frozen graph's converted files, or make them.

    Args:
        spec: of graph_spec.
        graph: the .pb file.
        model_dir: where the files are kept.
        console: told what is done.

    Returns:
        The backbone, its files present and whole.

    Raises:
        WeightsError: the graph cannot be converted.
    """
    return open_or_convert(
        spec,
        weights_file(graph, "graph"),
        model_dir,
        "--graph",
        f"--bottleneck_tensor={spec.builder.removeprefix('graph:')}",
        console=console,
        told=f"Converting {graph} at {spec.builder}, once (TensorFlow takes a few seconds).",
    )


def open_or_convert(
    spec: BackboneSpec, weights: WeightsFile, model_dir: Path, *more: str, console: Console, told: str
) -> PreparedBackbone:
    """Open the converted files of a backbone that brings its weights along, or make them.

    Args:
        spec: the backbone.
        weights: what it is converted from.
        model_dir: where the files are kept.
        more: what convert.py is told besides.
        console: told what is done.
        told: what it is told, where there is something to do.

    Returns:
        The backbone, its files present and whole.

    Raises:
        WeightsError: it cannot be converted.
    """
    with fsio.locked(model_dir / spec.name, timeout_s=LOCK_TIMEOUT_S):
        prepared = _at(spec, weights, model_dir)
        if not _whole(prepared):
            console.line(told)
            _convert(prepared, *more)
        return prepared


def _already_converted(spec: BackboneSpec, model_dir: Path, given: Path | None) -> PreparedBackbone | None:
    """Find what an earlier run converted, so that later runs neither import TensorFlow nor ask the network again."""
    weights = weights_at_hand(spec, model_dir, given) or bundled_weights(spec)
    prepared = _at(spec, weights, model_dir) if weights is not None else None
    return prepared if prepared is not None and _whole(prepared) else None


def is_converted(spec: BackboneSpec, weights: WeightsFile, model_dir: Path) -> bool:
    """Say whether a run could start without converting.

    Args:
        spec: the architecture.
        weights: which weights.
        model_dir: where converted files are kept.

    Returns:
        Whether the converted files are there and whole.
    """
    return _whole(_at(spec, weights, model_dir))


def _at(spec: BackboneSpec, weights: WeightsFile, model_dir: Path) -> PreparedBackbone:
    # A graph may be asked for at more than one bottleneck, a module at more than one size; and the same weights fit
    # networks that calculate something else.
    several = weights.source in ("graph", "hub") or spec.network is not None
    where = f"-{hashlib.sha256(spec.builder.encode()).hexdigest()[:6]}" if several else ""
    stem = f"{spec.name}-{weights.sha256[:12]}{where}-v{_conversion_version(spec)}"
    return PreparedBackbone(spec, weights, model_dir / f"{stem}.tflite", model_dir / f"{stem}.pb")


def _conversion_version(spec: BackboneSpec) -> int:
    return _VERSION_OF_BUILDER.get(spec.builder, CONVERSION_VERSION)


def _whole(prepared: PreparedBackbone) -> bool:
    """Whether the converted files are there with the hashes that their manifest names."""
    try:
        manifest = json.loads(prepared.tflite.with_suffix(".json").read_text())
        return bool(
            manifest["tflite_sha256"] == fsio.sha256_file(prepared.tflite)
            and manifest["graph_sha256"] == fsio.sha256_file(prepared.graph)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _convert(prepared: PreparedBackbone, *more: str) -> None:
    stem = prepared.tflite.with_name(prepared.tflite.name.removesuffix(".tflite"))
    words = (prepared.spec.name, str(prepared.weights.path), str(stem), *more)
    if prepared.spec.network is not None:
        words = (*words, "--definition")
    child = run_child("retrain.backbones.convert", *words, told=prepared.spec.definition)
    if child.returncode != 0 or not _whole(prepared):
        tail = "\n".join((child.stderr or child.stdout).strip().splitlines()[-5:])
        if child.returncode == NumericalError.exit_code:
            raise NumericalError(tail)
        raise WeightsError(f"converting {prepared.spec.name} from {prepared.weights.path} failed:\n{tail}")


def run_child(module: str, *words: str, told: str = "") -> subprocess.CompletedProcess[str]:
    """Run a module of this package in a process of its own.

    Args:
        module: its name.
        words: its command line.
        told: what it reads on its standard input.

    Returns:
        How it ended, and what it said.
    """
    command = leash.child(module, *words)
    return subprocess.run(
        command.words,
        pass_fds=command.descriptors,
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
        input=told,
    )


def child_environment() -> dict[str, str]:
    """Make the environment of a child process that imports this package.

    Returns:
        This process's, and where the package is: a child must find it even where it was put on the path by hand
        (python scripts/retrain.py).
    """
    import os

    package_root, path = Path(__file__).resolve().parents[2], os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{package_root}{os.pathsep}{path}" if path else str(package_root)}
