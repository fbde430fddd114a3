"""Keep a backbone's converted files in model_dir: made once, checked by hash each time they are opened."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from retrain import fsio
from retrain.backbones.table import BackboneSpec
from retrain.backbones.weights import WeightsFile, bundled_weights, find_weights
from retrain.console import Console
from retrain.errors import WeightsError
from retrain.images import PREPROCESSING_VERSION

# Part of every fingerprint: raise it when convert.py comes to write a network that computes something else.
CONVERSION_VERSION = 1


@dataclass(frozen=True)
class PreparedBackbone:
    """A backbone ready to run.

    Args:
        spec: the architecture.
        weights: which weights it holds.
        tflite: LiteRT file: float32 (1, H, W, 3) -> float32 (1, feature_width).
        graph: frozen GraphDef with the nodes ``input`` and ``bottleneck``.
    """

    spec: BackboneSpec
    weights: WeightsFile
    tflite: Path
    graph: Path

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides a bottleneck vector besides the photograph: 64 hexadecimal digits."""
        facts = {
            "architecture": self.spec.name,
            "weights": self.weights.sha256,
            "input": asdict(self.spec.input_spec),
            "preprocessing": PREPROCESSING_VERSION,
            "conversion": CONVERSION_VERSION,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def prepare_backbone(spec: BackboneSpec, model_dir: Path, *, offline: bool, console: Console) -> PreparedBackbone:
    """Open a backbone's converted files, or make them.

    Args:
        spec: the architecture.
        model_dir: where the files are kept.
        offline: never use the network.
        console: told what is done.

    Returns:
        The backbone, its files present and whole.

    Raises:
        WeightsError: no weights are to be had, or they do not fit.
    """
    with fsio.locked(model_dir / spec.name):
        ready = _already_converted(spec, model_dir)
        if ready is not None:
            return ready
        weights = find_weights(spec, model_dir, offline=offline, console=console)
        prepared = _at(spec, weights, model_dir)
        if not _whole(prepared):
            console.line(f"Converting {spec.name}, once (TensorFlow takes a few seconds).")
            _convert(prepared)
        return prepared


def _already_converted(spec: BackboneSpec, model_dir: Path) -> PreparedBackbone | None:
    """Find what an earlier run converted, so that later runs neither import TensorFlow nor ask the network again."""
    official = model_dir / spec.official_file
    if official.is_file():
        weights = WeightsFile(official, "official", fsio.sha256_file(official))
    elif spec.bundled_file:
        weights = bundled_weights(spec)
    else:
        return None
    prepared = _at(spec, weights, model_dir)
    return prepared if _whole(prepared) else None


def _at(spec: BackboneSpec, weights: WeightsFile, model_dir: Path) -> PreparedBackbone:
    stem = f"{spec.name}-{weights.sha256[:12]}-v{CONVERSION_VERSION}"
    return PreparedBackbone(spec, weights, model_dir / f"{stem}.tflite", model_dir / f"{stem}.pb")


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


def _convert(prepared: PreparedBackbone) -> None:
    stem = prepared.tflite.with_name(prepared.tflite.name.removesuffix(".tflite"))
    command = [
        sys.executable,
        "-m",
        "retrain.backbones.convert",
        prepared.spec.name,
        str(prepared.weights.path),
        str(stem),
    ]
    # The child must find this package even where it was put on the path by hand (python scripts/retrain.py).
    package_root = Path(__file__).resolve().parents[2]
    child = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=_environment_with(package_root),
        stdin=subprocess.DEVNULL,
    )
    if child.returncode != 0 or not _whole(prepared):
        tail = "\n".join((child.stderr or child.stdout).strip().splitlines()[-5:])
        raise WeightsError(f"converting {prepared.spec.name} from {prepared.weights.path} failed:\n{tail}")


def _environment_with(package_root: Path) -> dict[str, str]:
    import os

    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{package_root}{os.pathsep}{path}" if path else str(package_root)}
