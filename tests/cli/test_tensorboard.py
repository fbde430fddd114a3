"""The summaries of a run, read back through TensorBoard's own server, as its pages ask for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import Trained

Ask = Callable[..., Any]
ADDRESS = re.compile(r"http://localhost:\d+/")


@pytest.fixture(scope="module")
def ask(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask TensorBoard for a path; JSON is parsed, anything else comes as bytes."""
    log = tmp_path_factory.mktemp("tensorboard") / "log.txt"
    folder = trained.place.folder / "tf_files" / "training_summaries"
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0"]
    with log.open("w") as file, subprocess.Popen(words, stderr=file, stdout=file, env={**os.environ}) as server:
        try:
            address = _address(server, log)
            yield lambda path, body=None: _fetch(address + path, body)
        finally:
            server.terminate()


def _address(server: subprocess.Popen[bytes], log: Any) -> str:
    for _ in range(600):
        found = ADDRESS.search(log.read_text())
        if found:
            return found[0]
        try:
            server.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"TensorBoard did not start: {log.read_text()[-2000:]}")


def _fetch(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        content = answer.read()
        return json.loads(content) if answer.headers.get_content_type() == "application/json" else content


def test_every_page_has_something_to_show(ask: Ask) -> None:
    assert {"train", "validation", "results"} <= set(ask("data/runs"))
    assert set(ask("data/plugin/pr_curves/tags")["results"]) == {"pr_curve/globular cluster", "pr_curve/open cluster"}
    images = set(ask("data/plugin/images/tags")["results"])
    assert "confusion_matrix" in images
    assert "misclassified/01" in images
    assert ask("data/plugin/text/tags")["results"] == ["summary"]
    assert "accuracy_1" in ask("data/plugin/scalars/tags")["train"]
    assert ask("data/plugin/graphs/info")["train"]["run_graph"] is True


def test_a_curve_starts_with_everything_found(ask: Ask) -> None:
    tag = "pr_curve/open%20cluster"
    (curve,) = ask(f"data/plugin/pr_curves/pr_curves?run=results&tag={tag}")["results"]
    assert max(curve["recall"]) == 1.0
    assert len(curve["precision"]) == len(curve["thresholds"]) > 1


def test_the_summary_in_words_says_how_good_it_is(ask: Ask) -> None:
    (said,) = ask("data/plugin/text/text?run=results&tag=summary")
    assert "84" in said["text"]
    assert "%" in said["text"]


def test_pictures_are_pictures(ask: Ask) -> None:
    (entry,) = ask("data/plugin/images/images?run=results&tag=confusion_matrix&sample=0")
    picture = ask("data/plugin/images/individualImage?" + entry["query"])
    assert picture.startswith(b"\x89PNG")


def test_settings_stand_beside_what_came_of_them(ask: Ask) -> None:
    body = {"startIndex": 0, "sliceSize": 10, "allowedStatuses": ["STATUS_SUCCESS"], "colParams": []}
    groups = ask("data/plugin/hparams/session_groups", body)["sessionGroups"]
    (group,) = [one for one in groups if one["name"] == "results"]  # others are of earlier runs
    assert group["hparams"]["learning_rate"] == 0.01
    assert group["hparams"]["architecture"] == "mobilenet_0.50_224"


def test_the_projector_has_every_photograph(ask: Ask) -> None:
    assert "results" in ask("data/plugin/projector/runs")
    (info,) = ask("data/plugin/projector/info?run=results")["embeddings"]
    assert info["tensorShape"] == [84, 512]
    tensor = np.frombuffer(ask("data/plugin/projector/tensor?run=results&name=bottlenecks&num_rows=100"), np.float32)
    assert tensor.size == 84 * 512
    assert np.isfinite(tensor).all()
    lines = ask("data/plugin/projector/metadata?run=results&name=bottlenecks&num_rows=100").decode().splitlines()
    assert len(lines) == 85
    assert ask("data/plugin/projector/sprite_image?run=results&name=bottlenecks").startswith(b"\xff\xd8")
