"""The checks that a person runs before each commit, so that the one test command runs them, too."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "retrain").rglob("*.py"))


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "ruff", "check", "."),
        ("-m", "ruff", "format", "--check", "."),
        ("-m", "mypy"),
        ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
        ("scripts/update_readme.py", "--check"),
    ],
    ids=["ruff", "ruff format", "mypy strict", "import-linter", "README's flag tables"],
)
def test_the_tree_is_clean(words: tuple[str, ...]) -> None:
    check = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def functions() -> list[tuple[str, int]]:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                found.append((f"{path.name}:{node.name}", (node.end_lineno or 0) - body[0].lineno + 2))
    return found


def test_functions_and_files_stay_small() -> None:
    lengths = [length for _, length in functions()]
    assert statistics.median(lengths) <= 12
    assert sum(length > 40 for length in lengths) <= len(lengths) // 10
    too_long = {path.name: n for path in SOURCES if (n := len(path.read_text().splitlines())) > 350}
    assert not too_long


def test_only_fsio_writes_files() -> None:
    """A plain open(..., "w") elsewhere could leave half a file."""
    writing = re.compile(r"""\.write_(text|bytes)\(|open\([^)]*["'][wax]b?\+?["']""")
    for path in SOURCES:
        if path.parent.name == "fsio":
            continue
        lines = [line for line in path.read_text().splitlines() if writing.search(line) and "fsio." not in line]
        assert not lines, (path.name, lines)


def test_every_dependency_is_explained_and_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    explained = (ROOT / "docs/dependencies.md").read_text()
    pinned = {re.split("[= ;]", line)[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted = [re.split("[<>=]", d)[0] for d in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]
    assert wanted
    for name in wanted:
        assert re.search(rf"\b{re.escape(name)}\b", explained), f"docs/dependencies.md does not say why {name}"
        assert name in pinned, f"constraints.txt does not pin {name}"
