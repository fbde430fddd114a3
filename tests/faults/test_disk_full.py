"""A disk that is full, and a limit on the size of files: what fits is kept, and with room the same command goes on."""

from __future__ import annotations

import failing_disk_room as room
import pytest

# Bytes that are free when a run begins.
FREE = (0, 20_000, 90_000, 180_000, 300_000, 450_000)
# Largest size of a file in bytes.
LIMITS = (1_000, 30_000, 60_000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return room.undisturbed(tmp_path_factory.mktemp("undisturbed"))


def test_a_full_disk_ends_the_run_in_a_sentence_and_with_room_it_goes_on(tmp_path, whole):
    with room.small_disk(tmp_path / "disk") as is_mounted:
        if not is_mounted:
            pytest.skip("a small disk needs permission to mount one: run as root; the limit on files below needs none")
        found = {free: room.on_full_disk(tmp_path / "disk", free, whole) for free in FREE}
        roomy = room.on_full_disk(tmp_path / "disk", room.DISK_BYTES, whole)
    assert {free: outcome.problems for free, outcome in found.items()} == {free: [] for free in FREE}
    assert all(outcome.code for outcome in found.values())
    assert max(outcome.kept for outcome in found.values()) == 12  # what was cached when the disk was full
    assert (roomy.code, roomy.problems) == (0, [])


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_on_files_ends_the_run_in_a_sentence_and_without_it_it_goes_on(tmp_path, whole, limit):
    outcome = room.under_limit(tmp_path / "run", limit, whole)
    assert outcome.problems == []
    assert outcome.code
