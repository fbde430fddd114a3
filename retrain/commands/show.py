"""``python -m retrain show``: what a model file says of itself, and what can be inferred of a stranger's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retrain.bundle import GRAPH_NODE, Bundle
from retrain.commands.common import command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import ModelError, RetrainError, UsageError, WeightsError
from retrain.graphs.checked import MAX_GRAPH_BYTES, checked_nodes
from retrain.graphs.foreign import describe_graph
from retrain.modelfile import read_graph_bundle, read_tflite_bundle

DESCRIPTION = """\
Say what a model is: its labels, its input, what it stands on and how it was trained. Nothing in the file is run.

    python -m retrain show tf_files/retrained_graph.pb
    python -m retrain show tf_files/retrained_graph.tflite --json

Of a frozen graph that another tool wrote, it says what can be inferred: input, size, scaling, features, outputs."""

_ENDINGS = (".pb", ".tflite")
_SHOWN = 20


def show(words: Sequence[str], console: Console) -> int:
    """Print what model files say of themselves."""
    parser = command_parser("show", DESCRIPTION)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .pb or .tflite")
    parser.add_argument("--json", action="store_true", help="as one JSON object a file")
    given = read_flags(parser, words)
    problems = [_problem(name) for name in given.files]
    if any(problems):
        raise UsageError([problem for problem in problems if problem])
    failures = []
    for name in given.files:
        try:
            facts = describe(Path(name))
        except RetrainError as error:  # the others are still worth showing
            failures.append(f"{printable(name)}: {error}")
            continue
        console.line(json.dumps({"file": name, **facts}) if getattr(given, "json", False) else _page(name, facts))
    if failures:
        raise ModelError("\n".join(failures))
    return 0


def _problem(name: str) -> str:
    path = Path(name)
    if path.is_file() and path.suffix in _ENDINGS:
        return ""
    what = "is not there" if not path.exists() else "is none"
    return f"expected a {' or '.join(_ENDINGS)} file, but {printable(name)} {what}; check the spelling"


def describe(path: Path) -> dict[str, Any]:
    """Read what a model file says of itself, or infer what it is.

    Args:
        path: a .pb or .tflite file; not trusted, and not run.

    Returns:
        Facts by name; ``written_by`` says whether the file or this tool speaks.

    Raises:
        RetrainError: the file is no model, or one that is refused.
    """
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise ModelError(f"expected at most {MAX_GRAPH_BYTES} bytes, got {path.stat().st_size}")
    if path.suffix == ".tflite":
        return _own(read_tflite_bundle(path.read_bytes(), str(path)))
    data = path.read_bytes()
    # Cheap, and enough to choose the reader: only our own graphs hold a node of this name.
    return _own(read_graph_bundle(path)) if GRAPH_NODE.encode() in data else _foreign(data)


def _own(bundle: Bundle) -> dict[str, Any]:
    return {"written_by": "this tool", **asdict(bundle)}


def _foreign(data: bytes) -> dict[str, Any]:
    nodes = checked_nodes(data)
    used = {source.split(":")[0].lstrip("^") for node in nodes.values() for source in node.input}
    facts: dict[str, Any] = {
        "written_by": "another tool; inferred",
        "operations": len(nodes),
        "inputs": [name for name, node in nodes.items() if node.op.startswith("Placeholder")],
        "outputs": [name for name, node in nodes.items() if name not in used and node.op != "Const"],
    }
    try:
        return facts | asdict(describe_graph(data))
    except WeightsError as error:
        return facts | {"features": f"not found: {error}"}


def _page(name: str, facts: dict[str, Any]) -> str:
    width = max(len(key) for key in facts)
    lines = [f"  {key:<{width}}  {_text(value)}" for key, value in facts.items()]
    return "\n".join([printable(name), *lines])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(printable(str(item)) for item in value[:_SHOWN]) + more
    return printable(str(value)) if value != "" else "-"
