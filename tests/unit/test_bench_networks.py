"""The arithmetic, the layout and the killing of bench/networks.py; what it measures is not tested here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import bench_on_path

# A parent, a child in a session of its own, and a grandchild; each writes its number into the folder.
FAMILY = """
import os, subprocess, sys, time
depth, folder = int(sys.argv[1]), sys.argv[2]
open(f"{folder}/{depth}.tmp", "w").write(str(os.getpid()))
os.rename(f"{folder}/{depth}.tmp", f"{folder}/{depth}.pid")
if depth:
    subprocess.Popen([sys.executable, "-I", "-S", "-c", sys.argv[3], str(depth - 1), folder, sys.argv[3]],
                     start_new_session=True)
time.sleep(60)
"""


@pytest.fixture(scope="module", autouse=True)
def _bench_on_path():
    with bench_on_path():
        yield


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for label, count in (("blue", 5), ("red", 10)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (9 * number, 0, 0)).save(folder / label / f"{number}.png")
    return folder


def contents(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.rglob("*.png"))


def test_a_folder_is_cut_in_two_class_by_class(source, tmp_path):
    from network_runs import cut_in_two

    cut = cut_in_two(source, tmp_path / "cut", seed=1, test_share=0.2)
    for label, tested in (("blue", 1), ("red", 2)):
        test, train = (contents(cut / side / label) for side in ("test", "train"))
        assert len(test) == tested
        assert sorted(test + train) == contents(source / label)


def test_a_seed_always_cuts_alike_and_leaves_nothing_of_the_last_cut(source, tmp_path):
    from network_runs import cut_in_two

    cuts = [contents(cut_in_two(source, tmp_path / "cut", seed, 0.2) / "test") for seed in (1, 2, 1)]
    assert cuts[0] == cuts[2] != cuts[1]
    assert {len(cut) for cut in cuts} == {3}


def test_a_folder_without_classes_is_refused(tmp_path):
    from network_runs import photographs_of

    (tmp_path / "only").mkdir()
    with pytest.raises(SystemExit, match="two or more folders"):
        photographs_of(tmp_path)


def test_copies_differ_in_bytes_and_show_the_same_picture(source, tmp_path):
    from network_speed import copies_of

    laid_out = copies_of(source, tmp_path / "copies", 3)
    paths = sorted((laid_out / "train" / "red").glob("*-4.png"))
    assert len(paths) == 3
    assert len({path.read_bytes() for path in paths}) == 3
    pictures = [np.asarray(Image.open(path)) for path in paths]
    assert all((picture == pictures[0]).all() for picture in pictures)


def test_scikit_learns_digits_become_pictures(tmp_path):
    from network_runs import photographs_of, write_digits

    classes = photographs_of(write_digits(tmp_path / "digits"))
    assert list(classes) == [str(digit) for digit in range(10)]
    assert sum(map(len, classes.values())) == 1797
    first = np.asarray(Image.open(classes["0"][0]))
    assert first.shape == (8, 8)
    assert first.dtype == np.uint8
    assert first.max() > 200


def test_standard_error_in_points():
    from network_runs import paired

    found = paired([0.1, 0.2, 0.3])
    assert (found.mean, found.error) == pytest.approx((20.0, 10 / 3**0.5))
    assert str(found) == "20.0 ± 5.8"


def test_an_epoch_lasts_from_the_end_of_the_one_before_to_its_last_step():
    from network_speed import epoch_seconds

    names = ("start", "step", "step", "epoch", "checkpoint", "step", "step", "epoch", "done")
    moments = (10.0, 11.0, 13.0, 13.5, 13.6, 14.0, 15.0, 15.4, 15.5)
    assert epoch_seconds((moment, {"event": name}) for moment, name in zip(moments, names, strict=True)) == [3.0, 2.0]


def test_ratios_are_taken_round_by_round():
    from network_speed import Pace, Paces

    paces = Paces(8, ours=[Pace(30, 50), Pace(60, 90)], keras=[Pace(20, 25), Pace(40, 30)])
    assert paces.ratio("later") == pytest.approx(2.5)
    assert paces.ratio("cold") == pytest.approx((30 / 25 + 60 / 30) / 2)
    assert paces.cold_ratio == pytest.approx(1.5)


def test_further_flags_get_their_dashes(monkeypatch, source):
    import networks

    monkeypatch.setattr(sys, "argv", ["networks.py", "accuracy", str(source), "--flags", "mixup=0.2,random_crop=5"])
    arguments = networks._parse()
    assert arguments.flags == ["--mixup=0.2", "--random_crop=5"]
    assert networks._scratch_flags(arguments, 3)[-1] == "--seed=3"


def test_one_folder_of_digits_is_refused(monkeypatch, source, capsys):
    import networks

    monkeypatch.setattr(sys, "argv", ["networks.py", "digits", str(source)])
    with pytest.raises(SystemExit):
        networks._parse()
    assert "give both or none" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/thread-self/children").exists(), reason="finds children by /proc, as Linux has it")
def test_a_whole_family_is_killed_whatever_its_sessions(tmp_path):
    from network_kills import _is_running, kill_tree

    with subprocess.Popen([sys.executable, "-I", "-S", "-c", FAMILY, "2", str(tmp_path), FAMILY]) as parent:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.pid"))) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
        assert len(pids) == 3
        assert all(map(_is_running, pids))
        kill_tree(parent.pid)
    assert not any(map(_is_running, pids))
    assert parent.returncode == -9
    assert os.getpid() not in pids
