"""Hostile model files, opened in every way there is: refused in a sentence, nothing run, no file of theirs touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import model_attacks
import numpy as np
import pytest
from commands import ROOT, python
from model_judge import MEMORY_BYTES

from retrain.errors import ModelError
from retrain.sandbox import Bounds, SandboxedModel

JUDGE = ROOT / "tests" / "hostile" / "model_judge.py"
PICTURE = np.ones((1, 2, 2, 3), np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def cases(root):
    return model_attacks.corpus(root)


@pytest.fixture(scope="module")
def listed(root, cases):
    path = root / "list.json"
    path.write_text(json.dumps([[name, str(case.path)] for name, case in cases.items()]))
    return path


def judge(*words, timeout_s=300):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=timeout_s, env=environment, check=False, cwd=ROOT
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (rows[-1:], done.stderr[-3000:])
    return [row for row in rows if "outcome" in row]


@pytest.fixture(scope="module")
def rows(listed):
    """What came of every way to open every file, without TensorFlow."""
    return judge(sys.executable, JUDGE, listed, "open", "show", "describe_graph", "backbone_graph")


@pytest.fixture(scope="module")
def labelled(listed):
    """What came of labelling with every file and two labels; what is left of a graph is run in TensorFlow."""
    return judge(sys.executable, JUDGE, listed, "label")


def test_there_are_many_of_each_kind(cases):
    kinds = [name.split(":")[0] for name in cases]
    fewest = {"graph": 60, "description": 10, "tflite": 30, "beside": 15, "saved model": 8, "onnx": 12, "keras": 8}
    assert {kind for kind, count in fewest.items() if kinds.count(kind) < count} == set()


def test_no_file_crashes_hangs_or_gives_a_traceback(cases, rows):
    assert {row["name"] for row in rows} == set(cases)
    assert [(row["name"], row["way"], row["text"]) for row in rows if row["outcome"] == "traceback"] == []


def test_no_file_is_opened(rows):
    assert [(row["name"], row["text"]) for row in rows if row["way"] == "open" and row["outcome"] != "refused"] == []


def test_a_refusal_about_an_operation_names_it(cases, rows):
    about = [row for row in rows if cases[row["name"]].names and (row["way"] != "show" or not cases[row["name"]].shown)]
    assert len(about) > 150
    assert [row for row in about if row["outcome"] != "refused" or cases[row["name"]].names not in row["text"]] == []


def test_nothing_is_read_started_or_asked_that_belongs_to_them(rows, root):
    assert [(row["name"], row["way"], row["seen"]) for row in rows if row["seen"]] == []
    assert_untouched(root)


def test_memory_stays_bounded(rows):
    # The largest is the graph of a million nodes, which must be parsed to be counted.
    assert max(row["peak_rss"] for row in rows) < MEMORY_BYTES / 3


def assert_untouched(root):
    found = {path.name: path.read_text() for path in (root / model_attacks.CANARY).iterdir()}
    assert set(found) == set(model_attacks.SECRET_FILES)
    assert set(found.values()) == {model_attacks.TEXT}


def test_the_command_refuses_them_without_a_traceback_or_an_escape(cases):
    graphs = [case.path for name, case in cases.items() if case.names and case.path.suffix == ".pb"]
    done = python("-m", "retrain", "show", *graphs)
    assert done.returncode == ModelError.exit_code
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert all(text.isprintable() for text in said.splitlines())
    assert [path for path in graphs if str(path) not in said] == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_kernel_sees_no_file_of_theirs_opened_and_no_process_or_connection(root, listed, cases):
    log = root / "strace.txt"
    ways = ("open", "show", "describe_graph", "backbone_graph")
    traced = judge("strace", "-f", "-o", log, "-e", "trace=file,process,network", sys.executable, JUDGE, listed, *ways)
    assert {row["name"] for row in traced} == set(cases)
    lines = log.read_text(errors="replace").splitlines()
    opened = [line for line in lines if re.search(r"\b(open|openat|openat2|creat|execve|rename|unlink)\w*\(", line)]
    assert any(str(root / "files") in line for line in opened), "strace saw nothing"
    theirs = (f"/{model_attacks.CANARY}/", '"/etc/passwd"')
    assert [line for line in opened if any(path in line for path in theirs)] == []
    assert sum(" execve(" in line for line in lines) == 1  # Python itself
    assert [line for line in lines if re.search(r" (socket|connect|bind|sendto)\(", line)] == []


@pytest.mark.tensorflow
def test_labels_that_a_person_brings_do_not_open_more(labelled, root):
    """What is left of a graph after the checks may be run; what it would do besides is not in it any more."""
    assert [row for row in labelled if row["outcome"] == "traceback"] == []
    opened = [row["name"] for row in labelled if row["outcome"] == "done" and "nan" not in row["text"]]
    assert [name for name in opened if name not in model_attacks.HARMLESS] == []
    assert [row["seen"] for row in labelled if any(model_attacks.CANARY in event for event in row["seen"])] == []
    assert_untouched(root)


@pytest.mark.tensorflow
def test_a_graph_that_answers_with_nan_is_refused(labelled):
    assert [row["name"] for row in labelled if row["outcome"] == "done" and "nan" in row["text"]] == []


@pytest.mark.tensorflow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_variables_are_read_from_the_models_own_folder_only(root, cases):
    """TensorFlow's checkpoint reader follows a file named ``checkpoint``, wherever that leads."""
    asked, log = root / "variables.json", root / "variables.txt"
    asked.write_text(json.dumps([[name, str(case.path)] for name, case in cases.items() if "variables" in name]))
    judge("strace", "-f", "-o", log, "-e", "trace=open,openat", sys.executable, JUDGE, asked, "label")
    lines = log.read_text(errors="replace").splitlines()
    assert any("sm_variables" in line for line in lines), "strace saw nothing"
    outside = (f"/{model_attacks.CANARY}/", "sm_variables_link/variables/")
    assert [line for line in lines if any(path in line for path in outside) and " = -1 " not in line] == []


# What --trust_model does with them.

# Operation -> what the refusal says; "": the graph is run, and its scores are those of nothing found.
IN_THE_SANDBOX = {
    "WriteFile": "Permission denied",
    "ReadFile": "Permission denied",
    "SaveV2": "not permitted",
    "RestoreV2": "Permission denied",
    "PrintV2": "Permission denied",
    "InitializeTableFromTextFileV2": "Permission denied",
    "MatchingFiles": "",
    "network": "HTTP request",
    "QueueDequeueV2": "a picture took more than",
}


@pytest.fixture(scope="module")
def sandboxed(root, cases):
    """What came of running them; two at a time, most of it is TensorFlow's import."""

    def run(operation):
        path = root / "files" / f"sandbox_{operation}.pb"
        if operation == "network":
            graph = model_attacks.Graph()
            model_attacks.read_from_network(graph)
            path.write_bytes(graph.data)
        else:
            path.write_bytes(model_attacks.graph_doing(operation, root / model_attacks.CANARY))
        try:
            with SandboxedModel(path, bounds=Bounds(call_s=20 if operation != "QueueDequeueV2" else 3)) as model:
                assert model.unenforced == ()
                return model.scores(PICTURE)
        except ModelError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(IN_THE_SANDBOX, pool.map(run, IN_THE_SANDBOX), strict=True))


@pytest.mark.tensorflow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux enforces these limits")
@pytest.mark.parametrize("operation", IN_THE_SANDBOX)
def test_the_sandbox_lets_a_graph_do_nothing_but_calculate(sandboxed, root, operation):
    came, says = sandboxed[operation], IN_THE_SANDBOX[operation]
    if says:
        assert isinstance(came, str), came
        assert says.lower() in came.lower().replace("_", " ")
        assert came.isprintable()
        assert "Traceback" not in came
    else:
        assert came.tolist() == [0.5, 0.5]
    assert_untouched(root)


WITHOUT_SANDBOX = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
for path in sys.argv[1:]:
    with tf.Graph().as_default() as graph:
        with open(path, "rb") as file:
            tf.import_graph_def(tf.compat.v1.GraphDef.FromString(file.read()), name="")
        with tf.compat.v1.Session(graph=graph) as session:
            print(session.run("final_result:0", {"input:0": np.ones((1, 2, 2, 3), "f4")})[0].tolist())
"""


@pytest.mark.tensorflow
def test_outside_of_the_sandbox_they_do_what_they_are_said_to_do(tmp_path):
    """Else the tests above would prove nothing."""
    canary = tmp_path / model_attacks.CANARY
    canary.mkdir()
    (canary / "secret.txt").write_text(model_attacks.TEXT)
    paths = []
    for operation in ("MatchingFiles", "ReadFile", "WriteFile", "SaveV2"):
        paths.append(tmp_path / f"{operation}.pb")
        paths[-1].write_bytes(model_attacks.graph_doing(operation, canary))
    done = python("-c", WITHOUT_SANDBOX, *paths)
    assert done.returncode == 0, done.stderr
    assert "[0.5, 0.5]" not in done.stdout.splitlines()[:2]
    assert {path.name for path in canary.iterdir()} > {"secret.txt", "written"}


@pytest.mark.tensorflow
def test_the_sandbox_runs_what_is_harmless(root, cases):
    folder = model_attacks.saved_model(root / "harmless", model_attacks.Graph().data)
    with SandboxedModel(folder) as model:
        assert model.input_shape == (-1, 2, 2, 3)
        scores = model.scores(PICTURE)
    logits = PICTURE[0].mean(axis=(0, 1)) @ np.arange(6, dtype=np.float32).reshape(3, 2)
    expected = np.exp(logits - logits.max())
    assert np.allclose(scores, expected / expected.sum(), atol=1e-6)


def test_a_saved_model_that_leads_out_of_its_folder_starts_no_process(cases):
    with pytest.raises(ModelError, match="leads out"):
        SandboxedModel(cases["saved model: link out"].path)
    with pytest.raises(ModelError, match="neither"):
        SandboxedModel(Path(cases["saved model: graph that is a pipe"].path))
