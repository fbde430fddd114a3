"""As much of TensorFlow as a session takes: the same answers by either way of importing it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import tiny_graph

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).resolve().parents[2]

ASK = """
import json, sys
import numpy as np
from retrain.graphs import sessions
if sys.argv[2] == "elsewhere":  # a TensorFlow that keeps its modules at other places
    real = sessions.importlib.import_module
    sessions.importlib.import_module = lambda name: real(name.replace("python.client.session", "python.client.nowhere"))
if sys.argv[2] == "imported":
    import tensorflow
tf = sessions.import_sessions()
whole = "tensorflow" in sys.modules
with tf.graph().as_default() as graph:
    tf.import_graph_def(tf.graph_def.FromString(open(sys.argv[1], "rb").read()), name="")
run = tf.session(graph=graph, config=tf.config()).make_callable("bottleneck:0", feed_list=["input:0"])
answer = run(np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)).ravel().tolist()
import tensorflow  # whatever came before, this is all of it
print(json.dumps([whole, answer, tensorflow.constant(2).numpy().item(), issubclass(tensorflow.errors.OpError, tf.error)]))
"""


@pytest.mark.parametrize(("way", "whole"), [("lean", False), ("imported", True), ("elsewhere", True)])
def test_a_graph_runs_and_the_rest_can_still_be_imported(way: str, whole: bool, tmp_path: Path) -> None:
    (tmp_path / "tiny.pb").write_bytes(tiny_graph())
    words = [sys.executable, "-c", ASK, str(tmp_path / "tiny.pb"), way]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout) == [whole, [float(number) for number in range(12)], 2, True]
