"""What a trained model is, in its own words: labels, input, names, where it came from.

The bundle travels inside every export, so that label_image needs nothing but the model file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from retrain.errors import ModelError
from retrain.images import InputSpec, SkyStretch

FORMAT_VERSION = 3
# What format 1 did not have; those models are read as if they said this.
_ADDED_IN_2 = {"manifest_sha256": "", "unknown_threshold": 0.0, "temperature": 1.0, "date": ""}
# What formats 1 and 2 did not have.
_ADDED_IN_3: dict[str, Any] = {"unknown": {}, "sets": {}, "sky": None}
# What is not written where it is empty.
_LEFT_OUT: dict[str, Any] = {"thresholds": [], "network": ""}
# Of a photograph that may have several labels: what parts them in one cell, and what stands there for no label.
BETWEEN, NO_LABEL = ";", "(none)"
# Where each format keeps the bundle, as JSON: the name of a constant in the graph, of an entry in the metadata of
# LiteRT, ONNX and TensorFlow.js, of an asset of the SavedModel, of a file in the .keras archive.
GRAPH_NODE = "retrain/bundle"
METADATA_ENTRY = "retrain.bundle"
ASSET = "retrain_bundle.json"


@dataclass(frozen=True)
class Bundle:
    """Everything that a client of the model needs to know.

    Args:
        labels: class names in the order of the scores.
        input_height: pixels.
        input_width: pixels.
        input_mean: subtracted from each channel value (0 to 255).
        input_std: what the difference is divided by.
        input_node: name of the graph's input.
        output_node: name of what gives the scores.
        architecture: canonical name of the backbone.
        weights_source: "official" or "bundled".
        weights_sha256: hash of the weight file.
        feature_width: length of the bottleneck vector.
        head_step: training step that the head was taken after.
        split_sha256: hash of the split's CSV.
        training: the flags that decided the head.
        versions: of this project and the libraries that shaped the numbers.
        colour_order: of the input's channels.
        resize: how pixels were brought to the input size.
        tflite_sha256: hash of the .tflite that stands beside the graph; empty inside that file itself.
        manifest_sha256: hash of the list of photographs, their contents and labels; empty in format 1, which had none.
        unknown_threshold: a photograph whose best score is lower is "unknown"; 0: none is.
        temperature: that the logits were divided by before the softmax; it is inside the weights. 1: as trained.
        date: when it was trained, ISO 8601 in UTC; empty in format 1.
        unknown: when a photograph is like none that was trained on, see retrain/insight/unknown.py; empty: not known.
        sets: which labels are in a set that holds the right one, see retrain/insight/sets.py; empty: no promise.
        sky: how pictures with more than 8 bits a value were stretched, and are to be; None: as any, see InputSpec.
        format: version of this record.
        thresholds: a photograph may have several labels, and has each whose score is at least its threshold here, 0 to
            1, C of them; empty: it has one, that of the best score.
        network: blocks of its backbone as JSON, see retrain/networks; empty for an architecture of Keras Applications.
    """

    labels: tuple[str, ...]
    input_height: int
    input_width: int
    input_mean: float
    input_std: float
    input_node: str
    output_node: str
    architecture: str
    weights_source: str
    weights_sha256: str
    feature_width: int
    head_step: int
    split_sha256: str
    training: dict[str, float | str]
    versions: dict[str, str]
    colour_order: str = "RGB"
    resize: str = "bilinear, antialiased, aspect ratio not kept"
    tflite_sha256: str = ""
    manifest_sha256: str = ""
    unknown_threshold: float = 0.0
    temperature: float = 1.0
    date: str = ""
    unknown: dict[str, Any] = field(default_factory=dict)
    sets: dict[str, Any] = field(default_factory=dict)
    sky: SkyStretch | None = None
    format: int = FORMAT_VERSION
    thresholds: tuple[float, ...] = ()
    network: str = ""

    @property
    def input_spec(self) -> InputSpec:
        """Size and scaling of the input."""
        return InputSpec(self.input_height, self.input_width, self.input_mean, self.input_std, self.sky)

    def to_json(self) -> bytes:
        """Write the record.

        Returns:
            UTF-8 JSON, keys sorted, the same bytes for the same record.
        """
        facts = asdict(self)
        for name in _LEFT_OUT:  # so that a model without them is the same to the byte as it always was
            if not facts[name]:
                del facts[name]
        return json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()


def bundle_from_json(data: bytes, source: str) -> Bundle:
    """Read a record.

    Args:
        data: what to_json wrote; not trusted.
        source: the file it came from, for messages.

    Returns:
        The record.

    Raises:
        ModelError: it is damaged, or of a version that this one does not read.
    """
    try:
        raw = json.loads(data)
        version = raw.get("format")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{source}: its description is not readable ({error}); train the model again") from error
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ModelError(
            f"{source}: expected a description of format 1 to {FORMAT_VERSION}, got {version!r}; update this package"
        )
    if version < FORMAT_VERSION:
        raw = {**(_ADDED_IN_2 if version == 1 else {}), **_ADDED_IN_3, **raw, "format": FORMAT_VERSION}
    raw = {**_LEFT_OUT, **raw}
    problem = _shape_problem(raw)
    if problem:
        raise ModelError(f"{source}: its description is damaged ({problem}); train the model again")
    sky = None if raw["sky"] is None else SkyStretch(**raw["sky"])
    lists = {name: tuple(raw[name]) for name in ("labels", "thresholds")}
    return Bundle(**{**raw, **lists, "sky": sky})


def _shape_problem(raw: dict[str, Any]) -> str:
    expected = {one.name for one in fields(Bundle)}
    if set(raw) != expected:
        return f"fields {sorted(set(raw) ^ expected)}"
    if not (isinstance(raw["labels"], list) and raw["labels"] and all(isinstance(x, str) for x in raw["labels"])):
        return "labels"
    for name in ("input_height", "input_width"):
        if not (type(raw[name]) is int and 1 <= raw[name] <= 4096):
            return name
    for name in ("input_mean", "input_std", "unknown_threshold", "temperature"):
        # JSON as Python reads it has NaN and Infinity.
        if type(raw[name]) not in (int, float) or not abs(raw[name]) <= sys.float_info.max:
            return name
    for name in ("input_node", "output_node", "architecture", "tflite_sha256", "manifest_sha256", "date", "network"):
        if not isinstance(raw[name], str):
            return name
    for name in ("unknown", "sets"):
        if not isinstance(raw[name], dict):
            return name
    if not _are_thresholds(raw["thresholds"], len(raw["labels"])):
        return "thresholds"
    if not 0 <= raw["unknown_threshold"] <= 1 or raw["temperature"] <= 0:
        return "unknown_threshold or temperature"
    return _sky_problem(raw["sky"]) if raw["input_std"] else "input_std is 0"


def _are_thresholds(given: object, labels: int) -> bool:
    if not isinstance(given, list) or len(given) not in (0, labels):
        return False
    return all(type(one) in (int, float) and 0 <= one <= 1 for one in given)


def _sky_problem(sky: object) -> str:
    if sky is None:
        return ""
    if not isinstance(sky, dict) or set(sky) != {field.name for field in fields(SkyStretch)}:
        return "sky"
    problem = SkyStretch(**sky).problem()
    return f"sky: {problem}" if problem else ""
