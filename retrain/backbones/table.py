"""The table of architectures: a row each, made by scripts/make_backbone_table.py from Keras Applications.

The bottleneck is the average-pooled feature vector (as TF Hub's is), for MobileNet, too, where the original took the
1,001 ImageNet logits. Every backbone here takes RGB in -1 to 1: what its training wanted beyond that (BGR, means of
each channel, 0 to 255) is inside its converted graph, so that labelling never needs to know.

Networks that are trained from nothing, of the room of networks or from a person's own .json file, are backbones, too:
their bottleneck is what stands before their last layer.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from retrain.errors import UsageError, did_you_mean
from retrain.images import InputSpec
from retrain.networks.finding import SUFFIX
from retrain.networks.jsonfile import NAMELESS, definition_of, from_json, read_network
from retrain.networks.measuring import measure
from retrain.networks.network import GREY, USUAL, Network, Usual
from retrain.networks.table import NETWORKS, find_network, is_network

DEFAULT = "mobilenet_0.50_224"
BUNDLED = {DEFAULT: "mobilenet_0.50_224.npz"}
_ROWS = Path(__file__).parent / "architectures.json"
_QUANTIZED = "quantized"
# In front of the name of a person's own network, so that none is taken for a row of the table.
OWN_NETWORK = "network_"


@dataclass(frozen=True)
class BackboneSpec:
    """One architecture.

    Args:
        name: canonical name, as ``--architecture`` has it.
        builder: name of the function in keras.applications.
        arguments: what else it is called with.
        preprocessing: what its training was fed: "tf" (-1 to 1), "raw" (0 to 255), "caffe" (BGR, 0 to 255, less the
            means of ImageNet), "torch" (0 to 1, less means, over standard deviations).
        input_spec: size and scaling of the converted backbone's input.
        feature_width: length of its bottleneck vector.
        parameters: numbers that were trained.
        multiply_adds: of one picture.
        weight_arrays: how many arrays its weights are, in the order of Keras' ``get_weights()``.
        official_url: Keras Applications' weight file without the top.
        official_checksum: its published checksum, or empty where none is published.
        bundled_file: name of the file in ``bundled/``, or empty.
        top_url: Keras Applications' weight file with the head that names the 1,000 classes of ImageNet.
        top_checksum: its published checksum, or empty where none is published.
        network: its blocks, where it is a network that is trained from nothing; None for Keras Applications.
        path: of the file that the network was read from, or empty.
    """

    name: str
    builder: str
    arguments: dict[str, float]
    preprocessing: str
    input_spec: InputSpec
    feature_width: int
    parameters: int
    multiply_adds: int
    weight_arrays: int
    official_url: str
    official_checksum: str
    bundled_file: str = ""
    top_url: str = ""
    top_checksum: str = ""
    network: Network | None = None
    path: str = ""

    @property
    def definition(self) -> str:
        """The network's blocks as JSON, which decide its numbers; empty for Keras Applications."""
        return "" if self.network is None else definition_of(self.network)

    @property
    def handle(self) -> str:
        """What find_backbone finds it by."""
        return self.path or self.name

    @property
    def usual(self) -> Usual:
        """How it is trained from scratch where no flag says otherwise."""
        return USUAL if self.network is None else self.network.usual

    @property
    def official_file(self) -> str:
        """Name of the official weight file."""
        return self.official_url.rsplit("/", 1)[1]

    @property
    def top_file(self) -> str:
        """Name of the official weight file with the head of ImageNet."""
        return self.top_url.rsplit("/", 1)[1]


@cache
def table() -> dict[str, BackboneSpec]:
    """Read the table.

    Returns:
        name -> row, MobileNets first.
    """
    return {row["name"]: _spec(row) for row in json.loads(_ROWS.read_text(encoding="utf-8"))}


def _spec(row: dict[str, Any]) -> BackboneSpec:
    return BackboneSpec(
        name=row["name"],
        builder=row["builder"],
        arguments=row["arguments"],
        preprocessing=row["preprocessing"],
        input_spec=InputSpec(height=row["size"], width=row["size"], mean=127.5, std=127.5),
        feature_width=row["feature_width"],
        parameters=row["parameters"],
        multiply_adds=row["multiply_adds"],
        weight_arrays=row["arrays"],
        official_url=row["url"],
        official_checksum=row["checksum"],
        bundled_file=BUNDLED.get(row["name"], ""),
        top_url=row["top_url"],
        top_checksum=row["top_checksum"],
    )


def find_backbone(name: str, definition: str = "") -> BackboneSpec:
    """Look an architecture up by the name a person typed.

    Args:
        name: in any case, with or without underscores; a width as 0.5 or 0.50, 1 or 1.0; "_quantized" may follow,
            see is_quantized. Or the path of a network's .json file.
        definition: BackboneSpec.definition of a network, where it is known; nothing is looked up then.

    Returns:
        Its row.

    Raises:
        UsageError: there is no such row, and the text names the nearest one; or the network is none.
    """
    if not name.strip():
        # The usual cause, and baffling: ${ARCHITECTURE} is empty or literal in a Windows shell.
        raise UsageError(f"expected --architecture, got nothing (an unset shell variable?); use {DEFAULT}")
    if definition:
        return network_spec(from_json(definition, f"the definition of {name}"), _own_name(name) or name)
    if name.lower().endswith(SUFFIX):
        network = read_network(name)
        own = _own_name(name) if network.name == NAMELESS else OWN_NETWORK + network.name
        return replace(network_spec(network, own), path=name)
    return _row_named(name)


def network_spec(network: Network, name: str) -> BackboneSpec:
    """Describe a network as a backbone.

    Args:
        network: without a problem.
        name: what models and files call it.

    Returns:
        Its row; its builder names the definition, so that it is part of every fingerprint.

    Raises:
        UsageError: all that is wrong with the network.
    """
    measured = measure(network)
    return BackboneSpec(
        name=name,
        builder=f"network:{hashlib.sha256(definition_of(network).encode()).hexdigest()[:16]}",
        arguments={},
        preprocessing="tf",
        input_spec=InputSpec(height=network.size, width=network.size, mean=127.5, std=127.5),
        feature_width=measured.feature_width,
        parameters=measured.parameters,
        multiply_adds=measured.multiply_adds,
        weight_arrays=measured.arrays,
        official_url="",
        official_checksum="",
        network=network,
    )


def with_channels(spec: BackboneSpec, channels: int) -> BackboneSpec:
    """Have a network turn its pictures grey first, as --channels 1 asks for.

    Args:
        spec: any.
        channels: 3, which changes nothing, or 1.

    Returns:
        The network with one channel, "_grey" behind its name.

    Raises:
        UsageError: one channel for an architecture of Keras Applications.
    """
    if channels == 3 or (spec.network is not None and spec.network.channels == channels):
        return spec
    if spec.network is None:
        raise UsageError(
            f"expected --channels {channels} with a network, one of {', '.join(NETWORKS)} or a .json file, got "
            f"{spec.name}, which takes colour; leave --channels away"
        )
    grey = network_spec(replace(spec.network, channels=channels), spec.name + GREY)
    return replace(grey, path=spec.path)


def _row_named(name: str) -> BackboneSpec:
    canonical = {_squeezed(row): row for row in table()}
    wanted = _squeezed(name).removesuffix(_QUANTIZED)
    if wanted in canonical:
        return table()[canonical[wanted]]
    plain = re.sub(rf"[_\-\s]*{_QUANTIZED}$", "", name.strip().lower())
    if is_network(plain):
        network = find_network(plain)
        return network_spec(network, network.name)
    hint = did_you_mean(plain, [*table(), *NETWORKS]) or f"; {DEFAULT} is usual"
    raise UsageError(f"expected --architecture to be a row of `python -m retrain backbones`, got {name!r}{hint}")


def _own_name(path: str) -> str:
    """Name a network after its file; empty for what is no path of one."""
    if not path.lower().endswith(SUFFIX):
        return ""
    return OWN_NETWORK + (re.sub(r"[^A-Za-z0-9._-]", "_", Path(path).name[: -len(SUFFIX)])[:40] or NAMELESS)


def is_quantized(name: str) -> bool:
    """Tell whether an int8 export was asked for, as the original's ``mobilenet_0.50_224_quantized`` does.

    Args:
        name: what find_backbone takes.

    Returns:
        Whether it ends in "quantized"; the backbone itself is the same with and without.
    """
    return _squeezed(name).endswith(_QUANTIZED)


def _squeezed(name: str) -> str:
    """What two spellings of one name have in common."""
    words = re.split(r"[_\-\s]+", name.strip().lower())
    return "".join(_width(word) for word in words)


def _width(word: str) -> str:
    """Spell a width multiplier in one way: 0.5 and 0.50, 1 and 1.0."""
    if not re.fullmatch(r"\d*\.\d+|1", word):
        return word
    return f"({float(word):g})"
