import csv
import io
import json

import pytest

from retrain.classifier import Guess, Result
from retrain.errors import ImageError, PartError
from retrain.label.rows import Row, Tally, columns, row_of
from retrain.label.writers import text_block, text_rows

GUESSES = (Guess("cat", 0.75), Guess("dog", 0.2000000123), Guess("cow", 1e-9))
ROW = Row("p/1.jpg", "cat", 0.75, GUESSES)
BROKEN = Row("p/2.jpg", None, None, (), "damaged: JPEG: truncated")


def written(name, rows, top_k=3):
    stream = io.StringIO()
    with text_rows(name, stream, top_k) as write:
        for row in rows:
            write(row)
    return stream.getvalue()


def test_a_row_has_as_many_cells_as_there_are_columns():
    assert columns(1) == ["path", "label", "score", "error"]
    assert columns(3) == ["path", "label", "score", "label_2", "score_2", "label_3", "score_3", "error"]
    for top_k in (1, 2, 3):
        assert len(ROW.cells(top_k)) == len(BROKEN.cells(top_k)) == len(columns(top_k))


def test_csv_has_a_line_a_photograph_and_empty_cells_for_what_is_not_known():
    rows = list(csv.reader(io.StringIO(written("csv", [ROW, BROKEN]))))
    assert rows == [
        columns(3),
        ["p/1.jpg", "cat", "0.7500000", "dog", "0.2000000", "cow", "0.0000000", ""],
        ["p/2.jpg", "", "", "", "", "", "", "damaged: JPEG: truncated"],
    ]


def test_csv_keeps_names_with_commas_quotes_and_newlines():
    row = Row('a,"b"\nc.jpg', "x,y", 0.5, (Guess("x,y", 0.5),))
    assert list(csv.reader(io.StringIO(written("csv", [row], 1))))[1] == ['a,"b"\nc.jpg', "x,y", "0.5000000", ""]


@pytest.mark.parametrize("rows", [[], [ROW], [ROW, BROKEN]])
def test_json_is_one_array_and_json_lines_an_object_a_line(rows):
    whole = json.loads(written("json", rows))
    assert whole == [json.loads(line) for line in written("jsonl", rows).splitlines()]
    assert [fact["path"] for fact in whole] == [row.path for row in rows]


def test_a_json_object_has_label_score_guesses_and_error():
    ours, broken = json.loads(written("json", [ROW, BROKEN]))
    assert (ours["label"], ours["score"], ours["error"]) == ("cat", 0.75, None)
    assert ours["guesses"][1] == {"label": "dog", "score": 0.2}
    assert broken == {"path": "p/2.jpg", "label": None, "score": None, "guesses": [], "error": BROKEN.error}


def test_text_has_a_line_for_the_path_and_a_line_a_guess():
    assert text_block(ROW) == "p/1.jpg\ncat (score=0.75000)\ndog (score=0.20000)\ncow (score=0.00000)\n\n"
    assert text_block(BROKEN) == "p/2.jpg\nerror: damaged: JPEG: truncated\n\n"
    assert text_block(Row("\x1b[1m", "unknown", 0.75, GUESSES[:1])) == "\\x1b[1m\nunknown\ncat (score=0.75000)\n\n"


@pytest.mark.parametrize(("min_score", "label"), [(0.0, "cat"), (0.75, "cat"), (0.76, "unknown")])
def test_below_min_score_the_label_is_unknown_and_the_score_stays(min_score, label):
    row = row_of("x", Result(0, "x", GUESSES), min_score)
    assert (row.label, row.score, row.guesses) == (label, 0.75, GUESSES)


def test_what_failed_is_told_at_the_end_by_reason():
    tally = Tally()
    tally.add(None)
    tally.raise_if_any_failed()
    for reason in ("damaged", "damaged", "empty"):
        tally.add(ImageError(reason, "x"))
    with pytest.raises(PartError, match=r"3 of 4 photographs could not be done \(damaged: 2, empty: 1\)") as caught:
        tally.raise_if_any_failed()
    assert caught.value.exit_code == 9
