import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain import commands, fsio
from retrain import run as run_module
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.errors import UsageError
from retrain.insight import carrying
from retrain.insight.carrying import undo_fix
from retrain.insight.corrections import JOURNAL, Correction, read_journal
from retrain.insight.fixing import apply_fix, plan_fix

FILES = ("cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "dog/1.jpg", "dog/4.jpg", "wet dog/5.jpg")


@pytest.fixture
def photos(tmp_path):
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


def tree(folder):
    """Every file below a folder and what is in it, without journal and lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (JOURNAL, ".fixing.lock")
    }


def plan(photos, text, **options):
    table = photos.parent / "moves.csv"
    table.write_text(text)
    return plan_fix(str(table), scan_folder(str(photos), "folder", **options))


def test_photographs_move_between_classes_and_back(photos):
    before = tree(photos)
    made = plan(photos, "path,to\ncat/2.jpg,dog\n./dog/4.jpg,wet dog\n")
    assert tree(photos) == before
    assert made.problems == ()
    assert made.count_by_class() == {("cat", "dog"): 1, ("dog", "wet dog"): 1}
    assert apply_fix(made) == 2
    moved = {"cat/2.jpg": "dog/2.jpg", "dog/4.jpg": "wet dog/4.jpg"}
    assert tree(photos) == {moved.get(name, name): text for name, text in before.items()}
    assert undo_fix(photos) == (2, [])
    assert tree(photos) == before
    assert not (photos / JOURNAL).exists()


def test_fixes_are_undone_one_after_the_other(photos):
    before = tree(photos)
    apply_fix(plan(photos, "path,to\ncat/2.jpg,dog\n"))
    between = tree(photos)
    apply_fix(plan(photos, "path,to\ndog/2.jpg,wet dog\ncat/3.jpg,dog\n"))
    assert len(read_journal(photos)) == 2
    assert undo_fix(photos) == (2, [])
    assert tree(photos) == between
    assert undo_fix(photos) == (1, [])
    assert tree(photos) == before
    with pytest.raises(UsageError, match="nothing to undo there"):
        undo_fix(photos)


SUSPECTS = "path,label,suggested,score,likely,accept\n"


def test_of_suspects_only_the_accepted_move(photos):
    made = plan(
        photos, SUSPECTS + "cat/2.jpg,cat,dog,0.9,yes,YES\ncat/3.jpg,cat,dog,0.8,,\ndog/4.jpg,dog,cat,0.7,,no\n"
    )
    assert made.problems == ()
    assert made.corrections == (Correction("cat/2.jpg", "dog/2.jpg"),)
    assert made.passed_over == 2


def test_a_person_may_write_another_class_than_the_suggested_one(photos):
    made = plan(photos, SUSPECTS + "cat/2.jpg,cat,wet dog,0.9,yes,x\n")
    assert made.corrections == (Correction("cat/2.jpg", "wet dog/2.jpg"),)


def test_names_that_begin_a_formula_are_found_again(photos):
    (photos / "=cat").mkdir()
    (photos / "=cat/6.jpg").write_bytes(b"x")
    made = plan(photos, SUSPECTS + "'=cat/6.jpg,'=cat,dog,0.9,yes,yes\ncat/1.jpg,cat,'=cat,0.8,yes,yes\n")
    assert made.problems == ()
    assert made.corrections == (Correction("=cat/6.jpg", "dog/6.jpg"), Correction("cat/1.jpg", "=cat/1.jpg"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a first line with the columns path"),
        ("path,label\ncat/1.jpg,cat\n", "expected the columns path,to, or those of a suspects.csv"),
        ("path,to\n", "it has no rows"),
        ("path,to\ncat/2.jpg,\n", "line 2: expected a class in the column to, got nothing"),
        ("path,to\ncat/2.jpg,dgo\n", "expected a class that there is for 'cat/2.jpg', got 'dgo'; did you mean dog?"),
        ("path,to\ncat/2.jpg,qqqqq\n", "the classes are cat, dog, wet dog"),
        ("path,to\ncat/2.jpg,../elsewhere\n", "expected a class that there is"),
        ("path,to\ncat/2.jpg,/etc\n", "expected a class that there is"),
        ("path,to\n../photos/cat/2.jpg,dog\n", "names no photograph"),
        ("path,to\n/etc/passwd,dog\n", "names no photograph"),
        ("path,to\ncat/../cat/2.jpg,dog\n", "names no photograph"),
        ("path,to\ncat/2.jpg,cat\n", "'cat/2.jpg' is in 'cat' already"),
        ("path,to\ncat/2.jpg,dog\ncat/2.jpg,dog\n", "line 3 names 'cat/2.jpg', as line 2 does"),
        ("path,to\ncat/1.jpg,dog\n", "dog/1.jpg is there already; rename it or cat/1.jpg"),
        ("path,to\ncat/1.jpg,wet dog\ndog/1.jpg,wet dog\n", "cat/1.jpg and dog/1.jpg would both become wet dog/1.jpg"),
        ("path,to\ncat/2.jpg,dog,more\n", "does not have 2 cells"),
        (SUSPECTS + "cat/2.jpg,dog,cat,1,,yes\n", "is labelled 'cat', the table says 'dog'"),
        (SUSPECTS + "cat/2.jpg,cat,dog,1,,perhaps\n", "expected yes or nothing in the column accept, got 'perhaps'"),
        (SUSPECTS + "cat/2.jpg,cat,dog,1,,\n", "no row is accepted"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_followed_is_refused_and_nothing_moves(photos, text, said):
    before = tree(photos)
    made = plan(photos, text)
    assert any(said in problem and "moves.csv: " in problem for problem in made.problems), made.problems
    with pytest.raises(UsageError):
        apply_fix(made)
    assert tree(photos) == before


def test_all_problems_are_listed_at_once(photos):
    made = plan(photos, "path,to\ncat/1.jpg,dog\ncat/2.jpg,dgo\nnone.jpg,dog\ncat/3.jpg,cat\n")
    assert len(made.problems) == 4


def test_links_are_neither_moved_nor_gone_through(photos, tmp_path):
    (photos / "cat/link.jpg").symlink_to(photos / "cat/1.jpg")
    assert "is a link, and links are not moved" in plan(photos, "path,to\ncat/link.jpg,dog\n").problems[0]
    (photos / "wet dog").rename(tmp_path / "elsewhere")
    (photos / "wet dog").symlink_to(tmp_path / "elsewhere")
    for text in ("path,to\ncat/2.jpg,wet dog\n", "path,to\nwet dog/5.jpg,cat\n"):
        assert "to be a folder, got a link" in plan(photos, text).problems[0]


def test_sides_and_folders_below_a_class_stay(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "val/cat/3.jpg", "val/dog/4.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    made = plan(tmp_path / "photos", "path,to\nval/cat/3.jpg,dog\n")
    assert made.corrections == (Correction("val/cat/3.jpg", "val/dog/3.jpg"),)
    for name in ("cat/deep/1.jpg", "dog/2.jpg"):
        (tmp_path / "more" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / name).write_bytes(b"x")
    made = plan(tmp_path / "more", "path,to\ncat/deep/1.jpg,dog\n", recursive=True)
    assert made.corrections == (Correction("cat/deep/1.jpg", "dog/deep/1.jpg"),)


def test_a_name_that_is_taken_meanwhile_is_not_written_over(photos):
    made = plan(photos, "path,to\ncat/2.jpg,dog\ncat/3.jpg,dog\n")
    (photos / "dog/3.jpg").write_bytes(b"new")
    before = tree(photos)
    with pytest.raises(UsageError, match=r"was made meanwhile; all others were put back"):
        apply_fix(made)
    assert tree(photos) == before
    assert read_journal(photos) == []


@pytest.mark.parametrize("calls", range(6))
def test_a_kill_at_any_moment_is_put_right_by_undoing(photos, monkeypatch, calls):
    before, made = tree(photos), plan(photos, "path,to\ncat/2.jpg,dog\ncat/3.jpg,dog\ndog/4.jpg,cat\n")
    left = [calls]

    def stop(real):
        def counted(*args, **options):
            if not left[0]:
                raise SystemExit  # as a kill: what would tidy up, does not (remove is patched below)
            left[0] -= 1
            return real(*args, **options)

        return counted

    monkeypatch.setattr("retrain.getting.moves.fsio.open_log", stop(fsio.open_log))
    monkeypatch.setattr("retrain.getting.moves.fsio.move", stop(fsio.move))
    monkeypatch.setattr("retrain.getting.moves.fsio.remove", lambda path: None)
    with pytest.raises(SystemExit):
        apply_fix(made)
    monkeypatch.undo()
    if calls >= 2:
        with pytest.raises(UsageError, match="undo it first"):
            plan(photos, "path,to\ncat/1.jpg,wet dog\n")
    assert undo_fix(photos)[1] == []
    assert tree(photos) == before


def test_what_is_gone_or_back_already_is_said(photos):
    apply_fix(plan(photos, "path,to\ncat/2.jpg,dog\ncat/3.jpg,dog\n"))
    (photos / "dog/2.jpg").unlink()
    assert undo_fix(photos) == (1, ["dog/2.jpg"])


@pytest.mark.parametrize(
    "line",
    [
        "", "null", "{}", '{"fix": 1, "old": "cat/1.jpg"}', '{"fix": "1", "old": "cat/1.jpg", "new": "dog/1.jpg"}',
        '{"fix": true, "old": "cat/1.jpg", "new": "dog/1.jpg"}', '{"fix": 1, "old": "cat/1.jpg", "new": "../../x"}',
        '{"fix": 1, "old": "cat/1.jpg", "new": "/etc/passwd"}', '{"fix": 1, "old": "1.jpg", "new": "dog/1.jpg"}',
        '{"fix": 1, "old": "cat//1.jpg", "new": "dog/1.jpg"}', '{"fix": 1, "old": "cat/1.jpg", "new": "dog/a\\u0000"}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_journal_from_elsewhere_moves_nothing(photos, line):
    (photos / JOURNAL).write_text(f"{line}\n" if line else "\n")
    before = tree(photos)
    with pytest.raises(UsageError, match="is not one that fix writes"):
        undo_fix(photos)
    with pytest.raises(UsageError, match="is not one that fix writes"):
        plan(photos, "path,to\ncat/2.jpg,dog\n")
    assert tree(photos) == before


def test_a_journal_that_is_a_link_is_refused(photos, tmp_path):
    (tmp_path / "other").write_text("x")
    (photos / JOURNAL).symlink_to(tmp_path / "other")
    with pytest.raises(UsageError, match="got a link, folder or device"):
        undo_fix(photos)


@given(st.lists(st.tuples(st.sampled_from(FILES), st.sampled_from(["cat", "dog", "wet dog", "x"])), max_size=6))
def test_whatever_a_table_says_no_file_is_lost(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("any") / "photos"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    before = tree(root)
    made = plan(root, "path,to\n" + "".join(f"{path},{to}\n" for path, to in rows))
    if not made.problems:
        assert apply_fix(made) == len(rows)
        assert sorted(tree(root).values()) == sorted(before.values())
        assert undo_fix(root) == (len(rows), [])
    assert tree(root) == before


# The command


@pytest.fixture
def place(photos, monkeypatch):
    """The current folder, with a model's metrics; the config of each refit is kept."""
    monkeypatch.chdir(photos.parent)
    Path("tf_files").mkdir()
    told = dataclasses.asdict(RunConfig(image_dir="photos", seed=7))
    Path("tf_files/retrained_graph.metrics.json").write_text(json.dumps({"config": told}))
    Path("moves.csv").write_text("path,to\ncat/2.jpg,dog\n")
    runs = []
    monkeypatch.setattr(run_module, "run", lambda config, console: runs.append((config, tree(photos))))
    return runs


def fix(*words):
    return commands.main(["fix", *words], Console())


def test_the_command_moves_and_trains_as_the_run_did(place, photos, capsys):
    assert fix("--apply", "moves.csv") == 0
    ((config, seen),) = place
    assert config == RunConfig(image_dir="photos", seed=7)
    assert "dog/2.jpg" in seen
    out, err = capsys.readouterr()
    assert "cat -> dog: 1 files" in out
    assert "1 files moved; python -m retrain fix --image_dir photos --undo puts them back" in out
    assert "what the fix changes cannot be shown: expected tf_files/retrained_graph.predictions.csv" in out + err
    assert fix("--undo") == 0
    assert "1 files put back" in capsys.readouterr().out
    assert "cat/2.jpg" in place[1][1]


def test_a_dry_run_and_no_refit_train_nothing(place, photos, capsys):
    before = tree(photos)
    assert fix("--apply", "moves.csv", "--dry_run") == 0
    assert tree(photos) == before
    assert "nothing was moved; the same command without --dry_run does it" in capsys.readouterr().out
    assert fix("--apply", "moves.csv", "--no_refit") == 0
    assert tree(photos) != before
    assert place == []


def test_the_way_back_names_the_model_and_folders_with_spaces(place, photos, capsys):
    Path("tf_files").rename("my model")
    photos.rename("my photos")
    words = ["--apply=moves.csv", "--graph=my model/retrained_graph.pb", "--image_dir=my photos", "--no_refit"]
    assert fix(*words) == 0
    way = "python -m retrain fix --graph 'my model/retrained_graph.pb' --image_dir 'my photos' --undo"
    assert f"1 files moved; {way} puts them back" in capsys.readouterr().out


def test_before_any_run_files_can_be_moved_all_the_same(place, photos):
    Path("tf_files/retrained_graph.metrics.json").unlink()
    with pytest.raises(UsageError, match="which a run writes, to say what it was told"):
        fix("--apply", "moves.csv")
    assert fix("--apply", "moves.csv", "--image_dir", "photos", "--no_refit") == 0
    assert "dog/2.jpg" in tree(photos)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected --apply CSV or --undo, got neither"),
        (["--apply=moves.csv", "--undo"], "got both"),
        (["--undo", "--dry_run"], "expected --dry_run with --apply"),
        (["--apply=none.csv"], "expected --apply to be a file, but none.csv is none"),
        (["--apply=moves.csv", "--image_dir=nowhere"], "expected the photographs in a folder on this machine"),
        (["--apply=moves.csv", "--image_dir=s3://x/y"], "got s3://x/y"),
        (["--apply=moves.csv", "--aply"], "unknown flag --aply"),
    ],
)
def test_flags_that_cannot_be_followed_are_refused(place, words, said):
    with pytest.raises(UsageError) as caught:
        fix(*words)
    assert any(said in problem for problem in caught.value.problems)
    assert place == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_list": "list.csv"}, "whose rows say what they are"),
        ({"split_file": "split.csv"}, "names photographs by their paths"),
        ({"image_dir": "photos.zip"}, "expected the photographs in a folder"),
        ({"surprise": 1}, "the run was told surprise, which this version does not know"),
        ({"seed": "7"}, "what it says of seed is damaged"),
        ({"recursive": 1}, "what it says of recursive is damaged"),
    ],
)
def test_a_run_that_cannot_be_repeated_is_refused_before_anything_moves(place, photos, change, said):
    told = {**dataclasses.asdict(RunConfig(image_dir="photos")), **change}
    Path("tf_files/retrained_graph.metrics.json").write_text(json.dumps({"config": told}))
    before = tree(photos)
    with pytest.raises(UsageError) as caught:
        fix("--apply", "moves.csv")
    assert any(said in problem for problem in caught.value.problems)
    assert tree(photos) == before


def test_two_fixes_at_once_wait_for_each_other(photos, monkeypatch):
    monkeypatch.setattr(carrying, "_LOCK_WAIT_S", 0.0)
    made = plan(photos, "path,to\ncat/2.jpg,dog\n")
    from retrain.errors import RetrainError

    with fsio.locked(photos / ".fixing", timeout_s=0), pytest.raises(RetrainError):
        apply_fix(made)
    assert "cat/2.jpg" in tree(photos)
