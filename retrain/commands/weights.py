"""``python -m retrain weights``: prepare a machine that has no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain import fsio
from retrain.backbones import BackboneSpec, find_backbone
from retrain.backbones.slim import read_slim_mobilenet, write_npz
from retrain.backbones.table import table
from retrain.backbones.weights import HDF5_MAGIC, bundled_weights, fetch_official, imported_path, weights_at_hand
from retrain.commands.common import add_model_dir, command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import RetrainError, UsageError, WeightsError


def weights(words: Sequence[str], console: Console) -> int:
    """List, fetch, verify or import weight files."""
    parser = command_parser(
        "weights", "Prepare a machine that has no network: list, fetch, verify and import weight files."
    )
    add_model_dir(parser)
    parser.add_argument("action", choices=("list", "fetch", "verify", "import"), help="what to do")
    parser.add_argument("names", nargs="*", help="architectures to fetch, or the frozen graph to import")
    parser.add_argument("--architecture", default="", metavar="NAME", help="what the imported weights are of")
    given = read_flags(parser, words)
    folder = Path(given.model_dir)
    if given.action == "list":
        return _list(folder, console)
    if given.action == "fetch":
        return _fetch(given.names, folder, console)
    if given.action == "verify":
        return _verify(folder, console)
    return _import(given.names, given.architecture, folder, console)


def _list(folder: Path, console: Console) -> int:
    for spec in table().values():
        found = weights_at_hand(spec, folder) or bundled_weights(spec)
        if found is not None:
            console.line(f"{spec.name}: {found.source}, {found.path}, SHA-256 {found.sha256}")
    return 0


def _fetch(names: Sequence[str], folder: Path, console: Console) -> int:
    if not names:
        raise UsageError("expected the architectures to fetch, got none; see python -m retrain backbones")
    specs: list[BackboneSpec] = []
    problems: list[str] = []
    for name in names:
        try:
            specs.append(find_backbone(name))
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(problems)
    failures = []
    for spec in specs:
        try:
            console.line(f"{spec.name}: {fetch_official(spec, folder, console)}")
        except RetrainError as error:  # the others are still worth fetching
            failures.append(f"{spec.name}: {error}")
    if failures:
        raise WeightsError("\n".join(failures))
    return 0


def _verify(folder: Path, console: Console) -> int:
    damaged = 0
    for spec in table().values():
        for path, check in ((folder / spec.official_file, _official_fault), (imported_path(spec, folder), _npz_fault)):
            if path.is_file():
                fault = check(spec, path)
                damaged += bool(fault)
                console.line(f"{path}: {'damaged: ' + fault if fault else 'whole'}")
    if damaged:
        raise WeightsError(f"{damaged} weight files are damaged; delete them and fetch or import them again")
    return 0


def _official_fault(spec: BackboneSpec, path: Path) -> str:
    with path.open("rb") as file:
        if file.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            return "not an HDF5 file"
    return fsio.checksum_fault(path, spec.official_checksum)


def _npz_fault(spec: BackboneSpec, path: Path) -> str:
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            count = len([archive[name] for name in archive.files])
    except Exception as error:  # noqa: BLE001
        # zipfile, zlib and numpy each have their own words for a damaged archive.
        return f"{printable(str(error))}"
    return "" if count == spec.weight_arrays else f"expected {spec.weight_arrays} arrays, got {count}"


def _import(names: Sequence[str], architecture: str, folder: Path, console: Console) -> int:
    if len(names) != 1 or not Path(names[0]).is_file():
        raise UsageError(f"expected one frozen graph to import, got {' '.join(names) or 'none'}; check the spelling")
    spec = find_backbone(architecture)
    found = read_slim_mobilenet(Path(names[0]).read_bytes())
    if spec.builder != "MobileNet" or found.width != spec.arguments["alpha"]:
        raise UsageError(f"expected --architecture to be a mobilenet_{found.width:g}_..., got {spec.name}")
    target = imported_path(spec, folder)
    write_npz(target, found.arrays)
    console.line(f"{spec.name}: imported from {printable(names[0])} to {target}")
    return 0
