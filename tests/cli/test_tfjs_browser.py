"""The TensorFlow.js export in the real thing: scores in Node, and the page of docs/browser.md in headless Chromium.

TensorFlow.js itself, 1.5 MB of a 30 MB package, is fetched by npm once and kept in pytest's cache folder.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, Trained

from retrain.exporters.tfjs.files import tfjs_files
from retrain.exporters.tfjs.fusing import UNFUSED
from retrain.exporters.tfjs.graph import MAPPED
from retrain.images import decode_rgb, normalise
from retrain.litert import open_model
from retrain.modelfile import read_graph_bundle

VERSION = "4.22.0"
MEMBER = "package/dist/tf.min.js"
TEST_PHOTO = ROOT / "tf_files" / "test_photos" / "1.jpg"
PAGE = re.compile(r"```html\n(.*?)```", re.DOTALL)
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# How a model gets out of a folder without a server; then what both scripts do with it.
LOAD = """
const fs = require("fs"), path = require("path");
const [library, folder, given] = process.argv.slice(1);
const tf = require(library);
const read = (model, weights) => tf.loadGraphModel({load: async () => ({
  modelTopology: model.modelTopology, signature: model.signature, userDefinedMetadata: model.userDefinedMetadata,
  weightSpecs: model.weightsManifest[0].weights, weightData: new Uint8Array(weights).buffer})});
"""
SCORE = """
(async () => {
  await tf.setBackend("cpu");
  const model = JSON.parse(fs.readFileSync(path.join(folder, "model.json")));
  const shards = model.weightsManifest[0].paths.map((name) => fs.readFileSync(path.join(folder, name)));
  const ready = await read(model, Buffer.concat(shards));
  const about = ready.metadata["retrain.bundle"];
  const input = new Float32Array(new Uint8Array(fs.readFileSync(given)).buffer);
  const pictures = tf.tensor4d(input, [input.length / (about.input_height * about.input_width * 3),
                                       about.input_height, about.input_width, 3]);
  const features = ready.execute(pictures, "bottleneck");
  console.log(JSON.stringify({scores: ready.predict(pictures).arraySync(), features: features.shape}));
})();
"""
OPERATIONS = """
(async () => {
  await tf.setBackend("cpu");
  const said = {};
  for (const op of JSON.parse(given)) {
    const names = ["a", "b", "c", "d", "e"];
    const node = [...names.map((name) => ({name, op: "Placeholder", attr: {dtype: {type: "DT_FLOAT"}}})),
                  {name: "result", op, input: names, attr: {}}];
    const model = await read({modelTopology: {node, versions: {producer: 1}}, weightsManifest: [{weights: []}]}, []);
    try {
      model.execute(Object.fromEntries(names.map((name) => [name, tf.ones([1, 1, 1, 1])])), "result");
      said[op] = "";
    } catch (error) { said[op] = error.message; }
  }
  console.log(JSON.stringify(said));
})();
"""


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"{' or '.join(names)} is not on this machine")
    return found


@pytest.fixture(scope="module")
def library(request: pytest.FixtureRequest) -> Path:
    """tf.min.js, from the cache or from npm."""
    assert request.config.cache is not None
    place = request.config.cache.mkdir("tfjs") / f"tf-{VERSION}.min.js"
    if place.exists():
        return place
    words = [_program("npm"), "pack", f"@tensorflow/tfjs@{VERSION}", "--ignore-scripts", "--fetch-retries=0"]
    try:
        subprocess.run(words, cwd=place.parent, check=True, capture_output=True, timeout=40)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not fetch @tensorflow/tfjs within 40 s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot fetch @tensorflow/tfjs: {error.stderr.decode().strip()[-300:]}")
    archive = place.parent / f"tensorflow-tfjs-{VERSION}.tgz"
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        assert member is not None
        partial = place.with_suffix(".partial")
        partial.write_bytes(member.read())
    partial.rename(place)
    archive.unlink()
    return place


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the main job, as written for a browser."""
    place = tmp_path_factory.mktemp("tfjs")
    for name, content in tfjs_files(trained.graph.read_bytes(), read_graph_bundle(trained.graph)).items():
        (place / name).write_bytes(content)
    return place


def _node(script: str, *words: str | Path) -> dict[str, object]:
    run = subprocess.run(
        [_program("node"), "-e", LOAD + script, "--", *map(str, words)], capture_output=True, text=True, timeout=50,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_node_gives_the_scores_of_the_litert_model(trained: Trained, library: Path, folder: Path) -> None:
    spec = read_graph_bundle(trained.graph).input_spec
    photos = sorted(PHOTOS.glob("*/*.jpg"))[::28]
    pictures = [normalise(decode_rgb(photo.read_bytes(), spec), spec) for photo in photos]
    (folder.parent / "pictures").write_bytes(np.stack(pictures).astype("<f4").tobytes())
    said = _node(SCORE, library, folder, folder.parent / "pictures")
    model = open_model(trained.graph.with_suffix(".tflite").read_bytes())
    ours = np.stack([model.run(lambda out, picture=picture: np.copyto(out, picture))[0].copy() for picture in pictures])
    assert len(photos) == 3
    assert np.abs(np.array(said["scores"]) - ours).max() <= 1e-4
    assert said["features"] == [3, 512]


def test_the_library_knows_every_operation_that_is_written(library: Path) -> None:
    said = _node(OPERATIONS, library, "-", json.dumps(sorted(MAPPED | set(UNFUSED) | {"Erfc"})))
    unknown = {operation for operation, error in said.items() if re.search("Unknown op|not implemented", str(error))}
    assert unknown == {"Erfc"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the terminal of the tests."""


@pytest.fixture
def address(library: Path, folder: Path) -> Iterator[str]:
    """The page of docs/browser.md, served with the model and a photograph on this machine alone."""
    (page,) = PAGE.findall((ROOT / "docs" / "browser.md").read_text())
    (folder / "index.html").write_text(page)
    shutil.copy(library, folder / "tf.min.js")
    shutil.copy(TEST_PHOTO, folder / "photo.jpg")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_page_of_the_documentation_names_a_photograph(trained: Trained, address: str, tmp_path: Path) -> None:
    chromium = _program("chromium", "chromium-browser", "google-chrome")
    words = [chromium, *CHROMIUM, f"--user-data-dir={tmp_path}", "--virtual-time-budget=30000", "--dump-dom", address]
    page = subprocess.run(words, capture_output=True, text=True, timeout=55, check=True).stdout
    answer = re.search(r'<p id="answer">(.*?)</p>', page)
    assert answer, page
    score = re.fullmatch(r"globular cluster (0\.\d{3}), open cluster 0\.\d{3}", answer[1])
    assert score, answer[1]
    bundle = read_graph_bundle(trained.graph)
    picture = normalise(decode_rgb(TEST_PHOTO.read_bytes(), bundle.input_spec), bundle.input_spec)
    model = open_model(trained.graph.with_suffix(".tflite").read_bytes())
    ours = model.run(lambda out: np.copyto(out, picture))[0][bundle.labels.index("globular cluster")]
    # The browser decodes by itself, which moves scores: docs/browser.md.
    assert abs(float(score[1]) - ours) < 0.05
