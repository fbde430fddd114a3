import csv
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from label_support import write_model
from support import encode

from retrain.errors import RetrainError, UsageError
from retrain.label import read_flags
from retrain.label.command import open_classifier
from retrain.label.remembered import Journal
from retrain.label.watching import Lookout, Stop, watch

HEAD = {"format": "jsonl", "columns": ["path", "label", "score", "error"]}
PHOTO = encode(np.zeros((4, 4, 3), np.uint8))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a model and a folder to watch."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    (tmp_path / "in/sub").mkdir(parents=True)
    return tmp_path


def config_of(*words):
    return read_flags(["--graph=m.pb", "--watch=in", "--top_k=1", "--watch_interval_s=0.05", *words])


def paths(found):
    return [photograph.path for photograph in found]


def test_a_photograph_is_ready_when_size_and_date_stood_still_between_two_looks(place):
    lookout, photo = Lookout(config_of(), None), place / "in/1.jpg"
    photo.write_bytes(b"half")
    assert lookout.look() == []
    photo.write_bytes(b"half and more")
    assert lookout.look() == []
    os.utime(photo, ns=(10**18, 10**18))
    assert lookout.look() == []
    assert paths(lookout.look()) == ["in/1.jpg"]


def test_what_is_done_comes_again_only_when_it_changes(place):
    lookout, photo = Lookout(config_of(), None), place / "in/1.jpg"
    photo.write_bytes(b"one")
    lookout.look()
    (ready,) = lookout.look()
    lookout.finish(ready)
    assert [lookout.look() for _ in range(3)] == [[], [], []]
    photo.write_bytes(b"another")
    assert lookout.look() == []
    assert paths(lookout.look()) == ["in/1.jpg"]


def test_a_photograph_that_changes_or_goes_while_it_is_named_is_noticed(place):
    lookout = Lookout(config_of(), None)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (place / "in" / name).write_bytes(b"x")
    lookout.look()
    ready = lookout.look()
    (place / "in/1.jpg").write_bytes(b"more")
    (place / "in/2.jpg").unlink()
    assert [lookout.is_unchanged(photograph) for photograph in ready] == [False, False, True]


def test_what_the_watch_itself_writes_does_not_arrive(place):
    config = replace(config_of(), output="in/rows", sort_into="in/sorted", annotate="in/drawn")
    for name in ("rows", "rows.journal", "rows.lock", "sorted/1.jpg", "drawn/1.jpg", "sub/1.jpg"):
        (place / "in" / name).parent.mkdir(exist_ok=True)
        (place / "in" / name).write_bytes(b"x")
    lookout = Lookout(config, None)
    lookout.look()
    assert paths(lookout.look()) == ["in/sub/1.jpg"]


def journal_lines(path="o.jsonl"):
    return [json.loads(line) for line in Path(f"{path}.journal").read_text().splitlines()]


def write_row(journal, text, name):
    journal.output.write(text)
    journal.remember(name, (1, 2))


def test_a_journal_remembers_and_cuts_off_what_it_does_not_know(place):
    journal = Journal("o.jsonl", HEAD)
    write_row(journal, b"row 1\n", "1.jpg")
    write_row(journal, b"row 2\n", "2.jpg")
    journal.output.write(b"row 3\nro")  # killed between row and journal
    journal.close()
    again = Journal("o.jsonl", HEAD)
    assert again.done == {"1.jpg": (1, 2), "2.jpg": (1, 2)}
    write_row(again, b"row 3\n", "3.jpg")
    again.close()
    assert (place / "o.jsonl").read_bytes() == b"row 1\nrow 2\nrow 3\n"


def test_an_entry_that_was_cut_short_or_whose_row_is_lost_is_done_again(place):
    journal = Journal("o.jsonl", HEAD)
    write_row(journal, b"row 1\n", "1.jpg")
    write_row(journal, b"row 2\n", "2.jpg")
    journal.close()
    with Path("o.jsonl.journal").open("ab") as file:
        file.write(b'["3.jpg", 1,')
    os.truncate("o.jsonl", 8)
    again = Journal("o.jsonl", HEAD)
    again.close()
    assert again.done == {"1.jpg": (1, 2)}
    assert (place / "o.jsonl").read_bytes() == b"row 1\n"
    assert journal_lines()[1:] == [["1.jpg", 1, 2, 6]]


def test_rows_that_were_moved_away_stay_done(place):
    journal = Journal("o.jsonl", HEAD)
    write_row(journal, b"row 1\n", "1.jpg")
    journal.close()
    (place / "o.jsonl").unlink()
    for _ in range(2):
        again = Journal("o.jsonl", HEAD)
        assert again.done["1.jpg"] == (1, 2)
        write_row(again, b"row 2\n", "2.jpg")
        again.close()
    assert (place / "o.jsonl").read_bytes() == b"row 2\nrow 2\n"


def test_a_journal_of_other_columns_or_that_is_none_is_refused(place):
    Journal("o.jsonl", HEAD).close()
    with pytest.raises(UsageError, match="name another --output"):
        Journal("o.jsonl", {**HEAD, "columns": ["path"]})
    with pytest.raises(UsageError, match="expected --format=jsonl"):
        config_of("--output=o.jsonl", "--format=csv")
    for text in ("", "text\n", "[]\n", '{"journal": 2, "format": "x", "columns": []}\n', '{"journal": 1}\n'):
        (place / "o.jsonl.journal").write_text(text)
        with pytest.raises(UsageError, match="is no journal that can be read"):
            config_of("--output=o.jsonl")
    (place / "o.jsonl.journal").write_text(f'{json.dumps({"journal": 1, **HEAD})}\n["1.jpg", "2", 3, 4]\n')
    with pytest.raises(RetrainError, match="an entry that is none"):
        Journal("o.jsonl", HEAD)


def watch_until(config, number, monkeypatch):
    """Watch until so many rows are written; what watch returned."""
    stopper = Stop()
    monkeypatch.setattr("retrain.label.watching.Stop", lambda: stopper)

    def stop():
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and len(rows_of(config.output)) < number:
            time.sleep(0.02)
        stopper.wanted.set()

    watcher = threading.Thread(target=stop)
    watcher.start()
    try:
        return watch(open_classifier(config), config)
    finally:
        watcher.join()


def rows_of(output):
    if not Path(output).exists():
        return []
    with Path(output).open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_arrives_is_named_once_also_over_two_starts(place, monkeypatch, capsys):
    config = config_of("--output=o.csv", "--sort_into=sorted")
    (place / "in/1.png").write_bytes(PHOTO)
    (place / "in/sub/2.png").write_bytes(PHOTO)
    assert watch_until(config, 2, monkeypatch) == 0
    (place / "in/3.png").write_bytes(PHOTO)
    assert watch_until(config_of("--output=o.csv", "--sort_into=sorted"), 3, monkeypatch) == 0
    rows = rows_of("o.csv")
    assert [row["path"] for row in rows] == ["in/1.png", "in/sub/2.png", "in/3.png"]
    assert {row["label"] for row in rows} == {"g"}
    assert sorted(path.name for path in (place / "sorted/g").iterdir()) == ["1.png", "2.png", "3.png"]
    assert "stopped after 1 photographs" in capsys.readouterr().err


def test_a_broken_photograph_is_a_row_with_its_error_and_the_watch_goes_on(place, monkeypatch):
    (place / "in/1.png").write_bytes(b"no image")
    (place / "in/2.png").write_bytes(PHOTO)
    with pytest.raises(RetrainError, match="1 of 2 photographs could not be done") as caught:
        watch_until(config_of("--output=o.csv"), 2, monkeypatch)
    assert caught.value.exit_code == 9
    assert [bool(row["error"]) for row in rows_of("o.csv")] == [True, False]
