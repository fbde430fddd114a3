"""From flags to sides: what run.py does between reading the photographs and training on them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import FINGERPRINT, WIDTH, FakeEngine, digest, encode, noise, write_tree

from retrain import journal
from retrain.bottlenecks import BottleneckStore, collect_features
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION
from retrain.errors import UsageError
from retrain.head.folds import assign_folds
from retrain.outset import find_problems
from retrain.run import divide


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photograph(seed, day=""):
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    if day:
        exif.get_ifd(0x8769)[0x9003] = f"{day.replace('-', ':')} 12:00:00"
    return encode(noise(8, 8, seed), "JPEG", exif=exif)


def photographs(days):
    """Two classes, a photograph a day of each list."""
    tree = {name: {f"{n}.jpg": photograph(1000 * ord(name[0]) + n, day) for n, day in enumerate(listed)}
            for name, listed in days.items()}  # fmt: skip
    return write_tree(Path("photos"), tree)


def divided(config, capsys, *, unreadable=()):
    problems, _, catalog = find_problems(config)
    assert problems == []
    kept = dataclasses.replace(catalog, records=tuple(r for r in catalog.records if r.path not in unreadable))
    with BottleneckStore(Path("cache.sqlite"), FINGERPRINT, WIDTH) as store:
        features = collect_features(kept, store, FakeEngine(), Console(quiet=True), 100.0, "skipped.csv")
    capsys.readouterr()
    split = divide(config, catalog, features, Console())
    return split, features, capsys.readouterr().out


def test_photographs_of_one_day_lie_on_one_side_and_in_one_fold(place, capsys):
    days = [f"2024-01-{day:02}" for day in range(1, 21) for _ in range(3)]
    photographs({"a": [*days, "", ""], "b": days})
    split, features, said = divided(RunConfig(image_dir="photos", group_by="exif_date"), capsys)
    assert "120 photographs lie in 20 groups, 2 stand alone" in said
    by_day = {}
    folds = assign_folds(*labels_and_keys(features, split), 5)
    for day, side, fold in zip(split.groups, split.sides.tolist(), folds.tolist(), strict=True):
        if day:
            assert by_day.setdefault(day, (side, fold)) == (side, fold)
    assert {side for side, _ in by_day.values()} == {TRAINING, VALIDATION, TESTING}
    assert len({fold for _, fold in by_day.values()}) == 5


def labels_and_keys(features, split):
    return np.array([record.label for record in features.catalog.records]), split.keys


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ({"a": ["", ""], "b": ["", ""]}, "finds no group for any photograph, such as 'a/0.jpg'"),
        ({"a": ["2024-01-01"] * 2, "b": ["2024-01-01"] * 2}, "puts all 4 photographs into one group"),
    ],
)
def test_days_that_group_nothing_are_found_before_anything_is_touched(place, days, said):
    photographs(days)
    problems = find_problems(RunConfig(image_dir="photos", group_by="exif_date"))[0]
    assert len(problems) == 1
    assert problems[0].startswith(f"--group_by=exif_date {said}")


def test_a_row_of_a_photograph_that_cannot_be_read_is_no_problem(place, capsys):
    photographs({"a": [""] * 5, "b": [""] * 5})
    (place / "split.csv").write_text("path,label,split\na/0.jpg,a,test\na/1.jpg,a,test\na/2.jpg,a,val\n")
    config = RunConfig(image_dir="photos", split_file="split.csv")
    split, features, said = divided(config, capsys, unreadable=("a/0.jpg",))
    assert [record.path for record in features.catalog.records][:2] == ["a/1.jpg", "a/2.jpg"]
    assert split.sides[:2].tolist() == [TESTING, VALIDATION]
    assert "7 of 10 photographs are not in split.csv" in said


def test_a_file_that_changed_while_the_photographs_were_read_is_found(place, capsys):
    tree = photographs({"a": [""] * 3, "b": [""] * 3})
    sha = digest((tree / "a" / "0.jpg").read_bytes()).hex()
    (place / "split.csv").write_text(f"path,label,split,sha256\na/0.jpg,a,test,{sha}\n")
    config = RunConfig(image_dir="photos", split_file="split.csv")
    _, features, _ = divided(config, capsys)
    (place / "split.csv").write_text("path,label,split\na/7.jpg,a,test\n")
    with pytest.raises(UsageError, match="names no photograph of photos"):
        divide(config, features.catalog, features, Console(quiet=True))


def test_all_problems_of_flags_photographs_and_split_are_listed_together(place):
    photographs({"a": [""] * 3, "b": [""] * 3, "empty": []})
    (place / "split.csv").write_text("path,label,split\na/7.jpg,a,test\n")
    config = RunConfig(image_dir="photos", split_file="split.csv", group_by="regex:(", seed=-1)
    problems = "\n".join(find_problems(config)[0])
    for said in ("--seed", "regular expression", "holds no images", "names no photograph"):
        assert said in problems


def test_side_folders_are_said_among_the_first_lines(place, capsys):
    for side in ("train", "val"):
        write_tree(place / "photos" / side, {name: {"1.jpg": photograph(1)} for name in "ab"})
    catalog = find_problems(RunConfig(image_dir="photos"))[2]
    journal.tell_catalog(catalog, Console())
    assert capsys.readouterr().out.startswith(
        "Sub-folders decide the sides: train (training), val (validation); testing"
    )
    assert len(find_problems(RunConfig(image_dir="photos", subfolder_splits=False))[0]) == 2
