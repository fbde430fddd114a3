"""``python -m retrain backbones``: the table of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain.backbones import BackboneSpec
from retrain.backbones.prepare import is_converted
from retrain.backbones.table import table
from retrain.backbones.weights import bundled_weights, weights_at_hand
from retrain.commands.common import add_model_dir, command_parser, read_flags
from retrain.console import Console


def backbones(words: Sequence[str], console: Console) -> int:
    """List every architecture, and what of it is on this machine."""
    parser = command_parser(
        "backbones", "List the architectures that --architecture takes, and what is on this machine."
    )
    add_model_dir(parser)
    folder = Path(read_flags(parser, words).model_dir)
    lines = ["architecture            pixels  features  parameters  multiply-adds  weights"]
    for spec in table().values():
        size, millions = spec.input_spec.width, (spec.parameters / 1e6, spec.multiply_adds / 1e6)
        figures = f"{size:>6}  {spec.feature_width:>8}  {millions[0]:>8.1f} M  {millions[1]:>11.0f} M"
        lines.append(f"{spec.name:<22}  {figures}  {_at_hand(spec, folder)}")
    console.line("\n".join(lines))
    return 0


def _at_hand(spec: BackboneSpec, folder: Path) -> str:
    weights = weights_at_hand(spec, folder) or bundled_weights(spec)
    if weights is None:
        return "to be fetched"
    return weights.source + (", converted" if is_converted(spec, weights, folder) else "")
