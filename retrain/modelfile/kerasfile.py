"""Keras archives (.keras): what ours say of themselves, and what a stranger's says in its configuration.

Nothing is built from the configuration: it may name any Python class.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from retrain.bundle import ASSET, Bundle, bundle_from_json
from retrain.errors import ModelError
from retrain.modelfile.files import MAX_TEXT_BYTES
from retrain.modelfile.jsonfile import found, read_object


def keras_bundle(path: Path) -> Bundle | None:
    """Read what a .keras file says of itself.

    Args:
        path: the archive; not trusted, not unpacked.

    Returns:
        The description; None where it has none, and another tool wrote it.

    Raises:
        ModelError: it is no archive, or its description is damaged.
    """
    text = _member(path, ASSET)
    return None if text is None else bundle_from_json(text, str(path))


def keras_facts(path: Path) -> dict[str, Any]:
    """Say what a stranger's .keras file says of itself.

    Args:
        path: the archive; not trusted, not unpacked.

    Returns:
        Facts by name.

    Raises:
        ModelError: it is no archive of Keras 3.
    """
    config, metadata = _member(path, "config.json"), _member(path, "metadata.json")
    if config is None or metadata is None:
        raise ModelError(f"expected {path} to hold config.json and metadata.json, as Keras 3 writes them; it does not")
    model, about = read_object(config, f"config.json in {path}"), read_object(metadata, f"metadata.json in {path}")
    layers = found(model, "config", "layers")
    kinds = [str(found(layer, "class_name")) for layer in layers] if isinstance(layers, list) else []
    shape = found(model, "config", "layers", 0, "config", "batch_shape") or found(model, "build_config", "input_shape")
    return {
        "keras_version": about.get("keras_version", "not said"),
        "date": about.get("date_saved", "not said"),
        "class": model.get("class_name", "not said"),
        "name": found(model, "config", "name") or "not said",
        "input_shape": shape if isinstance(shape, list) else "not said",
        "layers": dict(sorted(Counter(kinds).items())),
    }


def _member(path: Path, name: str) -> bytes | None:
    """Read a text file out of the archive; None where there is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if name not in archive.namelist():
                return None
            with archive.open(name) as file:
                # What the archive says of its size may be a lie; what is read is counted.
                data = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"expected {path} to be a zip archive; it is none, or damaged: {error}") from error
    if len(data) > MAX_TEXT_BYTES:
        raise ModelError(f"expected {name} in {path} to have at most {MAX_TEXT_BYTES} bytes; it has more")
    return data
