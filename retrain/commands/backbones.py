"""``python -m retrain backbones``: the table of architectures, the networks beside them, and the layers of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain.backbones import BackboneSpec, find_backbone
from retrain.backbones.layers import LayerFacts, line_of, listed
from retrain.backbones.prepare import is_converted
from retrain.backbones.table import table
from retrain.backbones.weights import bundled_weights, weights_at_hand
from retrain.commands.common import add_model_dir, command_parser, read_flags
from retrain.config.flag import AS_USUAL
from retrain.console import Console
from retrain.networks import NETWORKS, least_size

_LAYERS = "list the layers of one architecture, a network or a network's .json file, for --freeze_layers"
_COLUMNS = "architecture            pixels  features  parameters  multiply-adds  "


def backbones(words: Sequence[str], console: Console) -> int:
    """List every architecture, and what of it is on this machine; or the layers of one."""
    parser = command_parser(
        "backbones", "List the architectures that --architecture takes, and what is on this machine."
    )
    add_model_dir(parser)
    parser.add_argument("--layers", default="", metavar="NAME", help=_LAYERS)
    given = read_flags(parser, words)
    if given.layers:
        spec = find_backbone(given.layers)
        console.line("\n".join(_of_layers(spec, listed(spec))))
        return 0
    folder = Path(given.model_dir)
    lines = [f"{_COLUMNS}weights", *(f"{_figures(spec)}  {_at_hand(spec, folder)}" for spec in table().values())]
    lines += ["", "Networks, trained from nothing with --train scratch; any other size, and _grey, behind the name:"]
    lines += [f"{_COLUMNS}usual training", *(_network(find_backbone(name)) for name in NETWORKS)]
    console.line("\n".join(lines))
    return 0


def _figures(spec: BackboneSpec) -> str:
    size, millions = spec.input_spec.width, (spec.parameters / 1e6, spec.multiply_adds / 1e6)
    figures = f"{size:>6}  {spec.feature_width:>8}  {millions[0]:>8.1f} M  {millions[1]:>11.0f} M"
    return f"{spec.name:<22}  {figures}"


def _network(spec: BackboneSpec) -> str:
    epochs, batch, rate, optimizer = spec.usual
    least = least_size(NETWORKS[spec.name])
    told = f"{epochs} epochs, batches of {batch}, {optimizer} {rate:g}; at least {least} pixels"
    return f"{_figures(spec)}  {told}"


def _of_layers(spec: BackboneSpec, layers: Sequence[LayerFacts]) -> list[str]:
    """Make a table of layers, a line drawn where fine-tuning usually begins."""
    line, width = line_of(layers, AS_USUAL, ""), max(len(layer.name) for layer in layers)
    kind = max(len(layer.kind) for layer in layers)
    lines = [f"index  {'layer':<{width}}  {'kind':<{kind}}  block  parameters"]
    for one in layers:
        if one.index == line:
            lines.append(f"------ --train finetune usually trains what follows: --freeze_layers {line}")
        lines.append(f"{one.index:>5}  {one.name:<{width}}  {one.kind:<{kind}}  {one.block:>5}  {one.parameters:>10}")
    trained = sum(one.parameters for one in layers[line:])
    whole = sum(one.parameters for one in layers)
    lines.append(
        f"{spec.name}: {len(layers)} layers, {whole} parameters; {trained} are trained from {layers[line].name}"
    )
    return lines


def _at_hand(spec: BackboneSpec, folder: Path) -> str:
    weights = weights_at_hand(spec, folder) or bundled_weights(spec)
    if weights is None:
        return "to be fetched"
    return weights.source + (", converted" if is_converted(spec, weights, folder) else "")
