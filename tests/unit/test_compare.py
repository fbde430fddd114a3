import csv
import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import catalog_of

from retrain import commands
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, Split
from retrain.errors import ModelError, UsageError
from retrain.insight.changes import compare_runs, mcnemar_p, sentences, what_changed
from retrain.insight.predictions import CROSS_VALIDATION, FINAL_TEST, earlier_predictions, read_predictions
from retrain.publish.predictions import predictions_csv


def sha(name):
    return hashlib.sha256(name.encode()).hexdigest()


COLUMNS = ["path", "label", "split", "sha256", "predicted", "score", "out_of_fold", "out_of_fold_score"]


def write_run(folder, rows, contents=None):
    """rows: (path, label, split, predicted) and perhaps out_of_fold; contents: path -> what its bytes are named by."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = contents or {}
    with (folder / "m.predictions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for path, label, side, predicted, *crossed in rows:
            other = crossed[0] if crossed else ""
            table.writerow([path, label, side, sha(contents.get(path, path)), predicted, "0.9", other, "0.8"])
    (folder / "m.pb").write_bytes(b"")
    return folder / "m.pb"


BEFORE = [
    ("cat/1", "cat", "testing", "dog"),
    ("cat/2", "cat", "testing", "cat"),
    ("cat/3", "cat", "testing", "cow"),
    ("cat/4", "cat", "training", "cat"),
    ("dog/5", "dog", "testing", "dog"),
    ("dog/6", "dog", "testing", "cat"),
]
AFTER = [
    ("cat/1", "cat", "testing", "cat"),  # gained
    ("cat/2", "cat", "testing", "dog"),  # lost
    ("cat/3", "cat", "testing", "dog"),  # wrong in two ways
    ("cat/4", "cat", "testing", "dog"),  # was trained on
    ("dog/5", "dog", "testing", "dog"),
    ("cow/6", "cow", "testing", "cow"),  # moved, and the first run judged by its new label
    ("cow/7", "cow", "testing", "cow"),  # new
]


@pytest.fixture
def change(tmp_path):
    before = read_predictions(write_run(tmp_path / "a", BEFORE))
    return compare_runs(before, read_predictions(write_run(tmp_path / "b", AFTER, {"cow/6": "dog/6"})))


def test_only_photographs_held_out_in_both_are_compared_by_their_contents(change):
    assert (change.judged_by, change.compared) == (FINAL_TEST, 5)
    assert (change.right_before, change.right_after) == (2, 3)
    assert [one.path for one in change.gained] == ["cat/1", "cow/6"]
    assert [one.path for one in change.lost] == ["cat/2"]
    assert [(one.path, one.before, one.after) for one in change.other] == [("cat/3", "cow", "dog")]


def test_each_class_has_its_gains_and_losses(change):
    assert [(row.label, row.count, row.gained, row.lost) for row in change.classes] == [
        ("cat", 3, 1, 1), ("cow", 1, 1, 0), ("dog", 1, 0, 0),
    ]  # fmt: skip


def test_what_else_changed_is_counted(change):
    assert (change.relabelled, change.new_photographs, change.old_photographs) == (1, 1, 0)
    assert (change.new_labels, change.old_labels) == (("cow",), ())
    text = "\n".join(sentences(change))
    assert "New classes: cow." in text
    assert "1 photographs are new, 0 are gone." in text
    assert "1 photographs have another label than before" in text
    assert "On the 5 photographs" in text
    assert "2 gained, 1 lost" in text
    assert "p = 1, so chance alone may explain that" in text


def test_cross_validation_judges_where_both_runs_have_it(tmp_path):
    rows = [(f"cat/{n}", "cat", "training", "cat", "dog") for n in range(8)]
    mended = [(*row[:4], "cat") for row in rows]
    runs = [read_predictions(write_run(tmp_path / name, one)) for name, one in (("a", rows), ("b", mended))]
    change = compare_runs(*runs)
    assert (change.judged_by, change.compared, len(change.gained)) == (CROSS_VALIDATION, 8, 8)
    assert change.p_value == pytest.approx(2 / 2**8)
    assert "chance does not explain that" in sentences(change)[-1]


def test_of_exact_copies_one_counts(tmp_path):
    rows = [("cat/1", "cat", "testing", "dog"), ("cat/2", "cat", "testing", "dog")]
    run = read_predictions(write_run(tmp_path / "a", rows, {"cat/2": "cat/1"}))
    assert compare_runs(run, run).compared == 1


def test_nothing_in_common_is_said(tmp_path):
    before = read_predictions(write_run(tmp_path / "a", BEFORE[:1]))
    after = read_predictions(write_run(tmp_path / "b", AFTER[1:2]))
    assert sentences(compare_runs(before, after))[-1].startswith("No photograph was held out in both runs")


@pytest.mark.parametrize(("gained", "lost", "p"), [(0, 0, 1), (3, 3, 1), (5, 0, 0.0625), (10, 2, 158 / 4096)])
def test_mcnemars_test_is_the_two_sided_binomial(gained, lost, p):
    assert mcnemar_p(gained, lost) == mcnemar_p(lost, gained) == pytest.approx(p)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemars_test_against_whole_numbers(gained, lost):
    n = gained + lost
    exact = min(1.0, 2 * sum(math.comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n)
    assert mcnemar_p(gained, lost) == pytest.approx(exact, rel=1e-9)


def test_many_thousand_flips_are_no_overflow():
    assert mcnemar_p(50_000, 50_001) == pytest.approx(1, abs=1e-2)
    assert 0 <= mcnemar_p(60_000, 40_000) < 1e-300


def test_a_run_says_what_it_changed_only_where_something_did(tmp_path):
    before = read_predictions(write_run(tmp_path / "a", BEFORE))
    after = read_predictions(write_run(tmp_path / "b", AFTER))
    assert what_changed(None, after) == ()
    assert what_changed(before, before) == ()
    assert any("new" in sentence for sentence in what_changed(before, after))
    relabelled = read_predictions(write_run(tmp_path / "c", [("cat/1", "dog", "testing", "dog"), *BEFORE[1:]]))
    assert what_changed(before, relabelled)[0].startswith("1 photographs have another label")


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"m\.predictions\.csv, which a run writes beside its model; train again"):
        read_predictions(tmp_path / "m.pb")


def test_before_a_first_run_there_are_no_earlier_predictions(tmp_path):
    assert earlier_predictions(tmp_path / "m.pb") is None
    assert earlier_predictions(write_run(tmp_path, BEFORE)) == read_predictions(tmp_path / "m.pb")
    (tmp_path / "m.predictions.csv").write_bytes(b"damaged")
    with pytest.raises(ModelError):
        earlier_predictions(tmp_path / "m.pb")


HEAD = ",".join(COLUMNS).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it lacks path"),
        (b"path,label,predicted\n", "it lacks split, sha256, out_of_fold"),
        (HEAD + b"cat/1,cat,testing,xyz,cat,1,,\n", "expected 64 hexadecimal digits as sha256, got 'xyz'"),
        (b"\xff\xfe\x00", "is no CSV that a run writes"),
        (HEAD + b"cat/1,cat\n", "too many or too few cells"),
        (HEAD + b"1,2,3,4,5,6,7,8,9\n", "too many or too few cells"),
        (HEAD + b'"cat/1', "is no CSV that a run writes"),
    ],
)
def test_damaged_files_are_refused(tmp_path, data, said):
    (tmp_path / "m.predictions.csv").write_bytes(data)
    with pytest.raises(ModelError, match=said):
        read_predictions(tmp_path / "m.pb")


def test_the_table_that_a_run_writes_is_read(tmp_path):
    catalog, shas = catalog_of({"cat": [b"1", b"2"], "=dog": [b"3"]})
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
    split = Split(np.array([TESTING, TESTING, TRAINING], np.uint8))
    text = predictions_csv(catalog, shas, split, scores, scores[::-1].copy())
    (tmp_path / "m.predictions.csv").write_text(text)
    read = read_predictions(tmp_path / "m.pb")
    assert read.labels == {shas[0].hex(): "cat", shas[1].hex(): "cat", shas[2].hex(): "'=dog"}
    tested = read.held_out[FINAL_TEST]
    assert {key: answer.predicted for key, answer in tested.items()} == {shas[0].hex(): "cat", shas[1].hex(): "'=dog"}
    assert [read.held_out[CROSS_VALIDATION][sha.hex()].predicted for sha in shas] == ["'=dog", "'=dog", "cat"]


def compare(*words):
    return commands.main(["compare", *map(str, words)], Console())


def test_the_command_prints_a_table_and_the_flips(tmp_path, capsys):
    write_run(tmp_path / "a", BEFORE)
    write_run(tmp_path / "b", [*AFTER, ("cat/\x1b[2J", "cat", "testing", "cat")])
    assert compare(tmp_path / "a", tmp_path / "b/m.pb") == 0
    out = capsys.readouterr().out
    assert "class  compared  gained  lost\ncat           3       1     1\n" in out
    assert "  gained: cat/1: dog -> cat\n  lost: cat/2: cat -> dog\n" in out
    assert "\x1b" not in out


def test_the_command_prints_json(tmp_path, capsys):
    write_run(tmp_path / "a", BEFORE)
    assert compare(tmp_path / "a", tmp_path / "a", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["compared"], facts["gained"], facts["p_value"]) == (5, [], 1.0)


def test_long_lists_are_cut(tmp_path, capsys):
    rows = [(f"cat/{n:02}", "cat", "testing", "dog") for n in range(14)]
    write_run(tmp_path / "a", rows)
    write_run(tmp_path / "b", [(*row[:3], "cat") for row in rows])
    compare(tmp_path / "a", tmp_path / "b")
    assert "  gained: and 4 more; --json lists all" in capsys.readouterr().out


def test_runs_that_are_not_there_are_both_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        compare(tmp_path / "none", tmp_path / "empty")
    assert len(caught.value.problems) == 2
    assert "RUN_A" in caught.value.problems[0]
    assert "expected one .pb in RUN_B" in caught.value.problems[1]


def test_runs_of_several_labels_are_compared_label_by_label(tmp_path, capsys):
    before = [
        ("1", "cat;dog", "testing", "cat"),
        ("2", "cat", "testing", "cat;snow"),
        ("3", "dog;snow", "testing", "(none)"),
        ("4", "dog", "testing", "dog"),
    ]
    after = [(*row[:3], said) for row, said in zip(before, ("cat;dog", "cat", "snow;cat", "dog;snow"), strict=True)]
    for folder, rows in (("a", before), ("b", after)):
        write_run(tmp_path / folder, rows)
        (tmp_path / folder / "m.metrics.json").write_text('{"config": {"multi_label": true}}')
    compare(tmp_path / "a", tmp_path / "b")
    out = capsys.readouterr().out
    table = "label  compared  gained  lost\ncat           2       0     1\ndog           3       1     0\nsnow          1       2     1\n"
    assert table in out
    (tmp_path / "a" / "m.metrics.json").write_text("[]")
    compare(tmp_path / "a", tmp_path / "b")
    assert "class     compared" in capsys.readouterr().out
