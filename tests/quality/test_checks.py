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


def test_every_dependency_is_explained_and_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    explained = (ROOT / "docs/dependencies.md").read_text()
    pinned = {re.split("[= ;]", line)[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    extras = project["optional-dependencies"]
    for extra, named in {"": project["dependencies"], **extras}.items():
        assert named, extra
        for name in (re.split("[<>=]", one)[0] for one in named):
            assert re.search(rf"\b{re.escape(name)}\b", explained), f"docs/dependencies.md does not say why {name}"
            # Nothing that a run or its tests need is unpinned; what the long tests use is fetched as it is that day.
            assert name in pinned or extra == "soak", f"constraints.txt does not pin {name}"


def test_the_lock_holds_what_the_constraints_pin_each_file_by_its_hash() -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    heads = [entry.splitlines()[0].removesuffix(" \\") for entry in entries]
    assert heads == (ROOT / "constraints.txt").read_text().strip().splitlines()
    assert len(heads) > 50
    for entry in entries:
        assert re.fullmatch(r"[^\n]+==[^\n]+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\\n)?)+", entry), entry.splitlines()[0]
