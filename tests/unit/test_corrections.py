import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain import fsio
from retrain.errors import UsageError
from retrain.fsio.system import WRITE
from retrain.insight.corrections import JOURNAL, Correction, append_journal, last_fix, read_journal, write_journal

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8).filter(lambda n: n not in (".", ".."))
MOVES = st.builds(lambda a, b, c, d: Correction(f"{a}/{b}", f"{c}/{d}"), NAMES, NAMES, NAMES, NAMES)
ROWS = st.one_of(
    MOVES,
    st.builds(Correction, NAMES, NAMES),
    st.builds(lambda a, b: Correction("", f"{a}/{b}"), NAMES, NAMES),
    st.builds(lambda a: Correction("", f"{a}/"), NAMES),
    st.builds(lambda a, b: Correction(f"{a}/{b}/", ""), NAMES, NAMES),
)
BATCHES = st.lists(st.lists(ROWS, min_size=1, max_size=4), min_size=1, max_size=5)


@given(BATCHES)
def test_what_is_appended_and_what_is_written_are_the_same(tmp_path_factory, batches):
    appended, written = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("w")
    for number, batch in enumerate(batches, 1):
        append_journal(appended, number, batch)
    write_journal(written, batches)
    assert (appended / JOURNAL).read_bytes() == (written / JOURNAL).read_bytes()
    assert read_journal(appended) == [tuple(batch) for batch in batches]
    assert last_fix(appended) == (len(batches), tuple(batches[-1]))


def test_the_end_of_a_long_journal_is_found_wherever_its_last_fix_begins(tmp_path, monkeypatch):
    batches = [[Correction(f"a/{n}{i}", f"b/{n}{i}") for i in range(n)] for n in (40, 1, 7, 30)]
    monkeypatch.setattr("retrain.insight.corrections._TAIL_BYTES", 10)
    for number, batch in enumerate(batches, 1):
        append_journal(tmp_path, number, batch)
        assert last_fix(tmp_path) == (number, tuple(batch))


def test_no_journal_is_no_fix(tmp_path):
    assert last_fix(tmp_path) == (0, ())


def test_a_line_that_is_cut_off_is_refused(tmp_path):
    (tmp_path / JOURNAL).write_text('{"fix": 1, "old": "a/1", "new": "b/1"}\n{"fix": 2, "o')
    for read in (read_journal, last_fix):
        with pytest.raises(UsageError, match=r"line 2 of .* is not one that fix writes"):
            read(tmp_path)


def test_a_last_line_without_an_end_that_a_person_wrote_counts(tmp_path):
    (tmp_path / JOURNAL).write_text('{"fix": 1, "old": "a/1", "new": "b/1"}')
    append_journal(tmp_path, 2, [Correction("a/3", "b/3")])
    assert read_journal(tmp_path) == [(Correction("a/1", "b/1"),), (Correction("a/3", "b/3"),)]


def test_a_disk_that_refuses_leaves_the_journal_as_it_was(tmp_path):
    append_journal(tmp_path, 1, [Correction("a/1", "b/1")])
    before = (tmp_path / JOURNAL).read_bytes()

    def full(operation):
        if operation.kind == WRITE:
            raise OSError(28, "No space left on device")

    with fsio.watching(full), pytest.raises(OSError, match="No space"):
        append_journal(tmp_path, 2, [Correction("a/2", "b/2")])
    assert (tmp_path / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""), ("", "x"), ("x", ""), ("a/1", ""), ("", "/"), ("", "../x/"), ("", "a/../1"), ("..", "x"), ("a/", "b/"),
        ("a/1", "b/1/"), ("", "a//"), ("/", ""), ("/etc/", ""),
    ],
)  # fmt: skip
def test_rows_that_nobody_writes_are_refused(tmp_path, old, new):
    (tmp_path / JOURNAL).write_text(json.dumps({"fix": 1, "old": old, "new": new}) + "\n")
    for read in (read_journal, last_fix):
        with pytest.raises(UsageError, match=r"line 1 of .* is not one that fix writes"):
            read(tmp_path)


def test_what_a_row_says_of_itself():
    kinds = {
        Correction("a/1", "b/1"): (True, False, False, "", ""),
        Correction("a", "b"): (True, True, False, "", ""),
        Correction("", "b/1"): (False, False, True, "", ""),
        Correction("", "b/"): (False, False, False, "b", ""),
        Correction("a/b/", ""): (False, False, False, "", "a/b"),
    }
    for one, said in kinds.items():
        assert (one.moves, one.is_folder, one.is_added, one.made, one.dropped) == said
