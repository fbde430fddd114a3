"""label_image of many photographs, as a person runs it: folders, pipes, a folder that is watched, the Python page."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PHOTOS, ROOT, Trained, python

pytestmark = pytest.mark.tensorflow


def start(trained: Trained, *words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start label_image without waiting for it."""
    command = [sys.executable, "-m", "label_image", "--graph", str(trained.graph), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for(rows: int, path: Path, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while len(rows_of(path)) < rows:
        assert time.monotonic() < deadline, f"{len(rows_of(path))} rows of {rows}"
        time.sleep(0.02)


def test_a_folder_is_named_in_order_and_as_one_by_one(trained: Trained, tmp_path: Path) -> None:
    run = trained.place.label("--image", PHOTOS, "--output", tmp_path / "o.csv", "--top_k=1")
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    rows = rows_of(tmp_path / "o.csv")
    assert [row["path"] for row in rows] == sorted(str(path) for path in PHOTOS.rglob("*.jpg"))
    right = sum(Path(row["path"]).parent.name == row["label"] for row in rows)
    assert right / len(rows) > 0.9
    one = trained.place.label("--image", rows[7]["path"], "--top_k=1")
    assert one.stdout.splitlines()[3] == f"{rows[7]['label']} (score={float(rows[7]['score']):.5f})"


def test_paths_and_an_image_may_come_through_a_pipe(trained: Trained) -> None:
    image = ROOT / "tf_files/test_photos/1.jpg"
    words = [sys.executable, "-m", "label_image", "--graph", str(trained.graph), "--format=jsonl", "--image"]
    listed = subprocess.run([*words, "@-"], cwd=ROOT, input=f"{image}\n".encode(), capture_output=True, check=True)
    piped = subprocess.run([*words, "-"], cwd=ROOT, input=image.read_bytes(), capture_output=True, check=True)
    of_list, of_pipe = json.loads(listed.stdout), json.loads(piped.stdout)
    assert of_pipe["path"] == "-"
    assert of_list == {**of_pipe, "path": str(image)}


def test_a_reader_that_has_read_enough_ends_it_quietly(trained: Trained) -> None:
    words = f"{sys.executable} -m label_image --graph '{trained.graph}' --image '{PHOTOS}' --format=csv | head -n 1"
    run = subprocess.run(["sh", "-c", words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("path,label,score")
    assert "Traceback" not in run.stderr


def test_a_watch_survives_a_kill_and_ends_with_ctrl_c(trained: Trained, tmp_path: Path) -> None:
    incoming, output = tmp_path / "in", tmp_path / "o.csv"
    incoming.mkdir()
    photos = sorted(PHOTOS.rglob("*.jpg"))[:40]
    words = ("--watch", incoming, "--output", output, "--watch_interval_s=0.1")
    watcher = start(trained, *words, cwd=tmp_path)
    for number, photo in enumerate(photos[:30]):
        shutil.copy(photo, incoming / f"{number:02}.jpg")
    wait_for(5, output)
    watcher.kill()
    watcher.communicate(timeout=60)

    watcher = start(trained, *words, cwd=tmp_path)
    for number, photo in enumerate(photos[30:], 30):
        shutil.copy(photo, incoming / f"{number:02}.jpg")
    wait_for(40, output)
    second = start(trained, *words, cwd=tmp_path)
    assert "another process has held" in second.communicate(timeout=60)[1]
    assert second.returncode == 1
    watcher.send_signal(signal.SIGINT)
    _, stderr = watcher.communicate(timeout=60)
    assert watcher.returncode == 0, stderr
    assert "stopped after" in stderr
    assert sorted(row["path"] for row in rows_of(output)) == [str(incoming / f"{n:02}.jpg") for n in range(40)]


def test_sigterm_ends_a_watch_with_its_code(trained: Trained, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tf_files/test_photos/1.jpg", tmp_path / "1.jpg")
    watcher = start(trained, "--watch=.", "--output=o.csv", "--watch_interval_s=0.1", cwd=tmp_path)
    wait_for(1, tmp_path / "o.csv")
    watcher.terminate()
    assert "Traceback" not in watcher.communicate(timeout=60)[1]
    assert watcher.returncode == 143


def test_the_page_on_python_says_what_its_example_prints(trained: Trained) -> None:
    page = (ROOT / "docs/python_api.md").read_text()
    code = re.search(r"```python\n(.*?)```\n\n((?: {4}[^\n]*\n)+)", page, flags=re.DOTALL)
    assert code is not None
    program = code[1].replace("tf_files/retrained_graph.pb", str(trained.graph))
    run = python("-c", program, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [line.strip() for line in code[2].splitlines()]


def test_one_photograph_does_not_pay_for_what_many_need(trained: Trained) -> None:
    code = (
        "import sys; from retrain.label import main; "
        f"assert main(['--image', 'tf_files/test_photos/1.jpg', '--graph', {str(trained.graph)!r}]) == 0; "
        "lazy = ['fsio', 'dataset', 'label.sorting', 'label.annotate', 'label.watching', 'label.remembered']; "
        "print([m for m in lazy if f'retrain.{m}' in sys.modules] + [m for m in ('csv', 'rich', 'pyarrow') "
        "if m in sys.modules])"
    )
    run = python("-c", code)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"
