"""``python -m retrain weights``: prepare a machine that has no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from retrain import fsio
from retrain.backbones import BackboneSpec, find_backbone
from retrain.backbones.imagenet import COUNTS
from retrain.backbones.imagenet_weights import fetch_top, imported_top_path, top_at_hand
from retrain.backbones.slim import read_slim_mobilenet, write_npz
from retrain.backbones.table import table
from retrain.backbones.weights import HDF5_MAGIC, bundled_weights, fetch_official, imported_path, weights_at_hand
from retrain.commands.common import add_model_dir, command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import RetrainError, UsageError, WeightsError

_TOP = "fetch the files with the head that names ImageNet's classes, for label_image --architecture"


def weights(words: Sequence[str], console: Console) -> int:
    """List, fetch, verify or import weight files."""
    parser = command_parser(
        "weights", "Prepare a machine that has no network: list, fetch, verify and import weight files."
    )
    add_model_dir(parser)
    parser.add_argument("action", choices=("list", "fetch", "verify", "import"), help="what to do")
    parser.add_argument("names", nargs="*", help="architectures to fetch, or the frozen graph to import")
    parser.add_argument("--architecture", default="", metavar="NAME", help="what the imported weights are of")
    parser.add_argument("--top", action="store_true", default=False, help=_TOP)
    given = read_flags(parser, words)
    if given.top and given.action != "fetch":
        raise UsageError(f"expected --top with fetch, got it with {given.action}, which minds both kinds by itself")
    folder = Path(given.model_dir)
    if given.action == "list":
        return _list(folder, console)
    if given.action == "fetch":
        return _fetch(given.names, folder, console, fetch_top if given.top else fetch_official)
    if given.action == "verify":
        return _verify(folder, console)
    return _import(given.names, given.architecture, folder, console)


def _list(folder: Path, console: Console) -> int:
    for spec in table().values():
        found = weights_at_hand(spec, folder) or bundled_weights(spec)
        for kind, one in (("", found), (" with its ImageNet head", top_at_hand(spec, folder))):
            if one is not None:
                console.line(f"{spec.name}{kind}: {one.source}, {one.path}, SHA-256 {one.sha256}")
    return 0


def _fetch(names: Sequence[str], folder: Path, console: Console, fetch: Callable[..., Path]) -> int:
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
            console.line(f"{spec.name}: {fetch(spec, folder, console)}")
        except RetrainError as error:  # the others are still worth fetching
            failures.append(f"{spec.name}: {error}")
    if failures:
        raise WeightsError("\n".join(failures))
    return 0


def _verify(folder: Path, console: Console) -> int:
    damaged = 0
    for spec in table().values():
        # An imported head is two arrays more.
        checks = (
            (folder / spec.official_file, partial(_official_fault, spec.official_checksum)),
            (folder / spec.top_file, partial(_official_fault, spec.top_checksum)),
            (imported_path(spec, folder), partial(_npz_fault, spec.weight_arrays)),
            (imported_top_path(spec, folder), partial(_npz_fault, spec.weight_arrays + 2)),
        )
        for path, check in checks:
            if path.is_file():
                fault = check(path)
                damaged += bool(fault)
                console.line(f"{path}: {'damaged: ' + fault if fault else 'whole'}")
    if damaged:
        raise WeightsError(f"{damaged} weight files are damaged; delete them and fetch or import them again")
    return 0


def _official_fault(checksum: str, path: Path) -> str:
    with path.open("rb") as file:
        if file.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            return "not an HDF5 file"
    return fsio.checksum_fault(path, checksum)


def _npz_fault(arrays: int, path: Path) -> str:
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            count = len([archive[name] for name in archive.files])
    except Exception as error:  # noqa: BLE001
        # zipfile, zlib and numpy each have their own words for a damaged archive.
        return f"{printable(str(error))}"
    return "" if count == arrays else f"expected {arrays} arrays, got {count}"


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
    if found.head_kernel is not None and found.head_bias is not None and found.head_bias.size in COUNTS:
        with_head = imported_top_path(spec, folder)
        write_npz(with_head, [*found.arrays, found.head_kernel, found.head_bias])
        console.line(f"{spec.name} with its ImageNet head: imported to {with_head}")
    return 0
