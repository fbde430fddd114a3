"""Sessions of onnxruntime: what it says of itself, and to whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from retrain.errors import ModelError, first_line
from retrain.onnx_runtime import open_session

ROOT = Path(__file__).resolve().parents[2]
# Trap: not by importing it, which would set its reports going in the process of all tests.
VERSION = version("onnxruntime")


def relu() -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


def left_at_home(tmp_path: Path, code: str) -> list[str]:
    """Files that a process leaves in its home folder; onnxruntime reports nothing where it finds itself in a CI."""
    (tmp_path / "relu.onnx").write_bytes(relu())
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(home)}
    words = [sys.executable, "-c", code, str(tmp_path / "relu.onnx")]
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, timeout=120, capture_output=True)
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


OURS = """
import sys
from pathlib import Path
from retrain.onnx_runtime import open_session
session = open_session(Path(sys.argv[1]).read_bytes())
assert session.run(None, {"x": __import__("numpy").full(1, -1, "float32")})[0] == 0
"""
THEIRS = """
import sys
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1])
"""


def test_onnxruntime_keeps_no_number_of_this_machine(tmp_path):
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    if not left_at_home(tmp_path / "theirs", THEIRS):
        pytest.skip(f"onnxruntime {VERSION} reports nothing on this machine, whoever opens a model")
    assert left_at_home(tmp_path / "ours", OURS) == []


def test_what_is_no_model_is_an_error_of_ours():
    with pytest.raises(ModelError, match=rf"onnxruntime {VERSION} cannot open a\.onnx: .+"):
        open_session(b"none", "a.onnx")


def test_a_session_has_one_thread():
    options = open_session(relu()).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_an_error_without_words_has_the_name_of_its_kind():
    assert first_line(RuntimeError("one\ntwo")) == "one"
    assert first_line(RuntimeError("")) == "RuntimeError"


def test_nothing_else_imports_onnxruntime():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "retrain").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(name.split(".")[0] == "onnxruntime" for name in imported(node))
    }
    assert found == {"retrain/onnx_runtime.py"}


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
