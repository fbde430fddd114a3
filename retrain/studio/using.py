"""What a trained model can be used as: its exports with what was measured of each, and the commands that use them."""

from __future__ import annotations

import io
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from retrain.config import ALWAYS, FORMATS, RunConfig, split_formats
from retrain.errors import ModelError, UsageError
from retrain.exporters.making import problems_of_formats
from retrain.publish import beside, place_of, read_record, record_path

# Of a folder that is sent as an archive.
_MOST_BYTES = 1 << 30
# Endings of what can be downloaded besides the exports, and what it is.
_BESIDE = {
    ".metrics.json": "all numbers of the run, as JSON",
    ".model_card.md": "the model card",
    ".split.csv": "which photograph was trained on, and which tested",
    ".predictions.csv": "what the model says of each photograph",
    ".suspects.csv": "labels that may be wrong",
}


def exports(output_graph: str) -> list[dict[str, Any]]:
    """List the formats, those that are not written yet as well.

    Args:
        output_graph: path of the model.

    Returns:
        One each, with its row of the record of comparisons where there is one; JSON's types only.
    """
    record = read_record(record_path(output_graph))
    rows = {row.format: row for row in record.rows} if record else {}
    found = []
    for name, one in FORMATS.items():
        place, row = place_of(output_graph, name), rows.get(name)
        facts: dict[str, Any] = {
            "format": name,
            "what": one.what,
            "file": place.name + ("/" if one.is_folder else ""),
            "there": place.exists(),
            "bytes": _size(place),
            "measured": None,
        }
        if row is not None:
            facts["measured"] = {
                "photographs": row.photographs,
                "right": row.right,
                "agreeing": row.agreeing,
                "largest_difference": row.largest_difference,
                "limit": row.max_difference,
                "ms": row.ms,
                "kept": row.kept,
                "run_by": row.run_by,
            }
        found.append(facts)
    return found


def formats_of_next(config: RunConfig, more: Sequence[str] = ()) -> list[str]:
    """List the formats of the next run, so that none which is there is lost when the model is written anew.

    Args:
        config: of that run.
        more: formats that are asked for besides.

    Returns:
        Those that the run is told, those that are there and can be had of its architecture, and ``more``.
    """
    told, graph = split_formats(config.export), config.output_graph
    written = [name for name in FORMATS if name not in ALWAYS and place_of(graph, name).exists()]
    there = [name for name in written if not problems_of_formats([name], config.architecture)]
    return [name for name in FORMATS if name in {*told, *there, *more}]


def files(output_graph: str) -> list[dict[str, Any]]:
    """List what else a run left to take along.

    Args:
        output_graph: path of the model.

    Returns:
        Name, size and what it is, of those that are there.
    """
    named = {Path(beside(output_graph, ending)): what for ending, what in _BESIDE.items()}
    named[Path(output_graph).parent / "report.html"] = "the report, one page to look at"
    return [{"file": path.name, "what": what, "bytes": _size(path)} for path, what in named.items() if path.is_file()]


def download(output_graph: str, name: str) -> tuple[bytes, str]:
    """Read a file that a run left; a folder becomes an archive.

    Args:
        output_graph: path of the model.
        name: of the file or, with a slash behind it, of the folder.

    Returns:
        Its bytes, and the name to save it by.

    Raises:
        UsageError: it is none of those that are listed.
        ModelError: it cannot be read.
    """
    known = {facts["file"] for facts in (*exports(output_graph), *files(output_graph))}
    known.add(Path(beside(output_graph, "")).name.replace("_graph", "_labels") + ".txt")
    if name not in known:
        raise UsageError(f"expected one of the files of the run, got {name[:80]!r}")
    path = Path(output_graph).parent / name.rstrip("/")
    try:
        if path.is_dir():
            return _archive(path), f"{path.name}.zip"
        return path.read_bytes(), path.name
    except OSError as error:
        raise ModelError(f"cannot read {path.name}: {error.strerror}") from error


def disposition(name: str) -> str:
    """Say under which name a browser saves a download (RFC 6266).

    Args:
        name: of the file, in any alphabet.

    Returns:
        The value of the header Content-Disposition.
    """
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def commands(output_graph: str, address: str, *, wants_token: bool = False) -> dict[str, str]:
    """Write the command lines that use the model.

    Args:
        output_graph: path of the model.
        address: of the studio, "http://127.0.0.1:8700".
        wants_token: whether who asks must bring the token; it is left to the shell, so that no screenshot shows it.

    Returns:
        By name: label_image, curl, python.
    """
    graph = shlex.quote(output_graph)
    token = ' -H "Authorization: Bearer $TOKEN"' if wants_token else ""
    return {
        "label_image": f"python -m label_image --graph {graph} --image photo.jpg",
        "curl": f"curl -s{token} --data-binary @photo.jpg -H 'Content-Type: image/jpeg' {address}/api/classify",
        "python": f'from retrain import Classifier\nClassifier.open({output_graph!r}).classify("photo.jpg")',
    }


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size if path.is_file() else 0


def _archive(folder: Path) -> bytes:
    if _size(folder) > _MOST_BYTES:
        raise ModelError(f"{folder.name} is larger than {_MOST_BYTES} bytes; copy it from the disk")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                archive.write(path, Path(folder.name) / path.relative_to(folder))
    return file.getvalue()
