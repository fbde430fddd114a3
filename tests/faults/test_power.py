"""Wherever the power goes, what is read afterwards is the old, the new, nothing, or an error that says so."""

from collections import Counter

import pytest
from power import FATES, RUBBISH, Disk, crash_states, lay
from power_cases import (
    ABSENT,
    CASES,
    NEW,
    OLD,
    REFUSED,
    after_the_end,
    append_fix,
    examine,
    first_and_second,
    go_on_watching,
    model_files,
    read_backbone,
    read_checkpoints,
    read_fixes,
    read_model,
    read_pixels,
    run_states,
    watch,
    write_backbone,
    write_checkpoints,
    write_fixes,
    write_pixels,
)

from retrain.fsio import system


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_or_folder_is_the_old_or_the_new_one_or_not_there(case, tmp_path):
    count, names = examine(case, tmp_path / "disk", seed=1)
    assert count >= 2
    assert names <= {OLD, NEW, ABSENT}
    assert NEW in names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_once_all_is_done_it_stays_done(case, tmp_path):
    assert after_the_end(case, tmp_path / "disk", seed=2) == {NEW}


@pytest.mark.parametrize("case", [case for case in CASES if case.before and not case.name.startswith("move_folder")])
def test_what_was_there_is_never_lost(case, tmp_path):
    assert ABSENT not in examine(case, tmp_path / "disk", seed=3)[1] or case.target not in case.before


def test_a_write_that_forgets_to_sync_is_found_out(tmp_path):
    # Of what this would look like: a name without its bytes.
    (tmp_path / "x").write_bytes(b"old")

    def forgetful():
        with system.open_file(tmp_path / ".x", "wb") as file:
            file.write(b"new" * 100)
        system.rename(tmp_path / ".x", tmp_path / "x")

    found = {tree.get("x") for _, tree in crash_states(tmp_path, forgetful, seed=0)}
    assert {b"old", b"new" * 100, b"", bytes(300)} < found


def test_a_folder_that_was_not_synced_may_be_empty(tmp_path):
    def forgetful():
        system.make_folder(tmp_path / "made")
        with system.open_file(tmp_path / "made" / "x", "wb") as file:
            file.write(b"new")
            system.sync(file)

    found = [tree for _, tree in crash_states(tmp_path, forgetful, seed=0)]
    assert {} in found
    assert {"made/x": b"new"} in found


def test_the_second_rename_may_be_there_without_the_first(tmp_path):
    lay({"a": b"1", "b": b"2"}, tmp_path)
    disk = Disk(tmp_path)
    with system.watching(disk.take):
        system.rename(tmp_path / "a", tmp_path / "c")
        system.rename(tmp_path / "b", tmp_path / "d")
    found = [set(tree) for tree in disk.states(0, 8)]
    for names in ({"a", "b"}, {"c", "b"}, {"a", "d"}, {"c", "d"}):
        assert names in found
    assert all(len(names) == 2 for names in found)


def test_every_file_of_a_run_is_whole_and_its_model_the_old_or_the_new_one(tmp_path):
    place = tmp_path / "run"
    second, _ = first_and_second(place)
    first = read_model(place)
    states = run_states(place, second, seed=4, more=2)
    new = read_model(place)
    assert len(states) >= 500
    assert first != new
    found, seen = Counter(), set()
    for _, tree in states:
        files = model_files(tree)
        if (key := frozenset(files.items())) not in seen:
            seen.add(key)
            answer = read_model(lay(files, tmp_path / "crashed"))
            assert answer in (first, new) or answer[0] == REFUSED, answer
            found[OLD if answer == first else NEW if answer == new else answer[0]] += 1
    assert min(found[OLD], found[NEW], found[REFUSED]) > 0


@pytest.mark.parametrize(
    ("write", "read", "allowed"),
    [
        (write_backbone, read_backbone, {"graph 1", "graph 2", REFUSED}),
        (write_fixes, read_fixes, {1, 2}),
        (append_fix, read_fixes, {1, 2}),
        (lambda root, version: write_checkpoints(root, [version]), read_checkpoints, {1, 2}),
    ],
    ids=["converted backbone", "corrections", "a correction more", "checkpoints"],
)
def test_readers_find_the_old_or_the_new(tmp_path, write, read, allowed):
    place = tmp_path / "disk"
    place.mkdir()
    write(place, 1)
    found = Counter()
    for _, tree in crash_states(place, lambda: write(place, 2), seed=5):
        found[read(lay(tree, tmp_path / "crashed"))] += 1
    assert set(found) <= allowed
    assert set(found) >= allowed - {REFUSED}


def test_a_watch_goes_on_with_one_row_a_photograph(tmp_path):
    # Zeros where nothing was written yet are what a file system leaves; other rubbish in them nobody could tell.
    place = tmp_path / "disk"
    place.mkdir()
    fates = [fate for fate in FATES if fate != RUBBISH]
    states = list(crash_states(place, lambda: watch(place), seed=10, fates=fates))
    assert len(states) > 20
    assert {go_on_watching(lay(tree, tmp_path / "crashed")) for _, tree in states} == {NEW}


def test_decoded_photographs_are_the_right_ones_or_not_there(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    write_pixels(place, 0)
    found = Counter()
    for _, tree in crash_states(place, lambda: write_pixels(place, 3), seed=8):
        found[read_pixels(lay(tree, tmp_path / "crashed"))] += 1
    assert found.total() >= 20
    assert found[3] > 0


def test_the_first_of_each_is_there_or_not(tmp_path):
    for number, (write, read, nothing) in enumerate(
        ((write_backbone, read_backbone, REFUSED), (write_fixes, read_fixes, 0))
    ):
        place = tmp_path / str(number)
        place.mkdir()
        found = set()
        for _, tree in crash_states(place, lambda write=write, place=place: write(place, 1), seed=6):
            found.add(read(lay(tree, tmp_path / "crashed")))
        assert found == {nothing, "graph 1" if write is write_backbone else 1}
