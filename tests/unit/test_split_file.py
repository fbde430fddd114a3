import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import catalog_of, digest, write_tree

from retrain.config import RunConfig
from retrain.dataset import (
    TESTING,
    TRAINING,
    VALIDATION,
    Catalog,
    ImageRecord,
    SplitRequest,
    plan_problems,
    plan_split,
    scan_folder,
    split_csv,
    split_images,
)
from retrain.dataset.plan import plan_of
from retrain.errors import UsageError

REQUEST = SplitRequest("content", 10, 10)


def contents(count, prefix):
    return [f"{prefix} {number}".encode() for number in range(count)]


@pytest.fixture
def table(tmp_path):
    """Writes a split file."""

    def write(text):
        (tmp_path / "split.csv").write_bytes(text.encode())
        return str(tmp_path / "split.csv")

    return write


def catalog():
    return catalog_of({"a": contents(4, "a"), "b": contents(4, "b")})


def test_the_file_decides_and_the_rule_places_the_rest(table):
    here, shas = catalog()
    path = table(
        "path,label,split\na/0.jpg,a,val\na/1.jpg,a,TEST\na/2.jpg,a,train\nb/0.jpg,b,validation\n"
        "./b/1.jpg,b,testing\nb/2.jpg,b,training\n"
    )
    plan, problems = plan_split(here, split_file=path)
    assert problems == []
    split = split_images(here, shas, REQUEST, plan)
    assert split.sides[[0, 1, 2, 4, 5, 6]].tolist() == [VALIDATION, TESTING, TRAINING] * 2
    assert f"2 of 8 photographs are not in {path}, such as 'a/3.jpg': placed by --split_rule" in split.notes[0]
    assert split.groups is None


def test_an_earlier_runs_list_keeps_every_photograph_where_it_was(tmp_path):
    # Eight photographs a class: sides are filled, and what is added would let photographs go back.
    old, shas = catalog_of({"a": contents(8, "a"), "b": contents(8, "b")})
    first = split_images(old, shas, REQUEST)
    path = tmp_path / "old.split.csv"
    path.write_text(split_csv(old, shas, first))
    new, more = catalog_of({"a": contents(400, "a"), "b": contents(8, "b") + contents(400, "new")})
    plan, problems = plan_split(new, split_file=str(path))
    assert problems == []
    after = dict(zip(more, split_images(new, more, REQUEST, plan).sides.tolist(), strict=True))
    without = dict(zip(more, split_images(new, more, REQUEST).sides.tolist(), strict=True))
    before = dict(zip(shas, first.sides.tolist(), strict=True))
    assert {sha: after[sha] for sha in before} == before
    assert {sha: without[sha] for sha in before} != before


def test_all_problems_are_found_at_once(table):
    here, _ = catalog()
    path = table(
        "path,label,split,group,sha256\na/0.jpg,b,train,g,\na/1.jpg,a,tset,,\na/2.jpg,a,train,,12\n"
        "a/9.jpg,a,train,,\na/0.jpg,a,train,,\nb/0.jpg,b,test,g,\nb/1.jpg,b\n"
    )
    text = "\n".join(plan_split(here, split_file=path)[1])
    assert "line 8 does not have 5 cells" in text
    assert "line 5 names no photograph of photos: 'a/9.jpg'" in text
    assert "line 6 names 'a/0.jpg', as line 2 does" in text
    assert "line 2: expected the label 'a' of 'a/0.jpg', got 'b' (move the photographs or mend the rows)" in text
    assert "line 3: expected a split of training, train, " in text
    assert "got 'tset'; did you mean test?" in text
    assert "line 4: expected 64 hexadecimal digits as sha256, or nothing, got '12'" in text
    assert "group 'g' lies in training and testing" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,split\n", "expected a first line with the columns path,label,split, got path,split"),
        (b"", "expected a first line with the columns path,label,split, got "),
        (b"path,label,split,split\n", "got path,label,split,split"),
        (b"path,label,split\na\xff,a,train\n", "expected UTF-8, got other bytes at 18"),
        (b'path,label,split\n"a,a,train\n', "is not CSV"),
        (b"path,label,split\na,a,train,more\n", "line 2 does not have 3 cells"),
        (b"path,label,split\n" + b"x" * 200_000 + b",a,train\n", "is not CSV (field larger than field limit"),
        (b"path;label;split\n", "got path;label;split"),
    ],
)
def test_a_file_that_is_no_such_table_is_a_problem(tmp_path, content, said):
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    problems = plan_split(catalog()[0], split_file=str(path))[1]
    assert said in "\n".join(problems)


@settings(max_examples=100)
@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), header=st.booleans())
def test_no_file_is_a_traceback(content, header, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "split.csv"
    path.write_bytes(b"path,label,split\n" * header + content)
    plan, problems = plan_split(catalog()[0], split_file=str(path))
    assert all(problem.startswith(f"--split_file={path}") for problem in problems)
    assert problems or not plan.file.sides


def test_a_class_that_the_file_leaves_nothing_to_train_on_is_a_problem(table):
    here, _ = catalog_of({"a": contents(2, "a"), "b": contents(4, "b")})
    (problem,) = plan_split(here, split_file=table("path,label,split\na/0.jpg,a,test\na/1.jpg,a,val\n"))[1]
    assert "leaves class 'a' no photograph to train on" in problem


def test_photographs_go_with_their_copies_and_groups(table):
    here, shas = catalog_of({"a": [b"same", b"same", *contents(30, "a")], "b": contents(30, "b")})
    path = table("path,label,split,group\na/0.jpg,a,test,\na/2.jpg,a,val,m13\nb/0.jpg,b,val,m13\n")
    plan, problems = plan_split(here, split_file=path)
    assert problems == []
    split = split_images(here, shas, REQUEST, plan)
    assert split.sides[[0, 1, 2, 32]].tolist() == [TESTING, TESTING, VALIDATION, VALIDATION]
    assert split.keys[2] == split.keys[32]
    rows = list(csv.DictReader(io.StringIO(split_csv(here, shas, split))))
    assert list(rows[0]) == ["path", "label", "split", "sha256", "group"]
    assert [row["group"] for row in rows][2] == "m13"


def test_copies_that_the_file_tears_apart_are_told(table):
    here, shas = catalog_of({"a": [b"same", b"same", *contents(5, "a")], "b": contents(5, "b")})
    path = table("path,label,split\na/0.jpg,a,test\na/1.jpg,a,train\n")
    split = split_images(here, shas, REQUEST, plan_split(here, split_file=path)[0])
    assert split.sides[:2].tolist() == [TESTING, TRAINING]
    assert "1 photographs or groups lie on two sides, such as 'a/0.jpg' and 'a/1.jpg'" in "\n".join(split.notes)


def test_the_poets_rule_places_what_the_file_does_not_name_and_takes_no_groups(table):
    records = tuple(ImageRecord(f"{'ab'[n % 2]}/{n}.jpg", n % 2, 1, 0, 0) for n in range(100))
    here, shas = Catalog("photos", ("a", "b"), records), [digest(b"%d" % n) for n in range(100)]
    request = SplitRequest("poets", 10, 10)
    plain = split_images(here, shas, request).sides
    plan, problems = plan_split(here, split_file=table("path,label,split\na/0.jpg,a,test\nb/1.jpg,b,val\n"))
    assert problems == []
    sides = split_images(here, shas, request, plan).sides
    assert sides[:2].tolist() == [TESTING, VALIDATION]
    assert (sides[2:] == plain[2:]).all()
    grouped = table("path,label,split,group\na/0.jpg,a,test,g\n")
    (problem,) = plan_split(here, split_file=grouped, split_rule="poets")[1]
    assert "--split_rule=poets" in problem


def test_groups_of_the_file_and_of_the_flag_are_one_too_many(table):
    path = table("path,label,split,group\na/0.jpg,a,test,g\n")
    problems = plan_split(catalog()[0], "regex:[ab]/", path)[1]
    assert problems == [
        f"got --group_by=regex:[ab]/ and groups in {path}; leave one of them away, the flag or the column"
    ]


@pytest.fixture
def photos(tmp_path):
    tree = {"a": {f"{n}.jpg": b"a%d" % n for n in range(3)}, "b": {f"{n}.jpg": b"b%d" % n for n in range(3)}}
    return write_tree(tmp_path / "photos", tree)


def test_contents_are_compared_before_anything_is_touched_and_again_when_all_is_read(photos, table):
    good, bad = digest(b"a0").hex(), digest(b"other").hex()
    path = table(f"path,label,split,sha256\na/0.jpg,a,train,{good.upper()}\nb/0.jpg,b,train,{bad}\n")
    config = RunConfig(image_dir=str(photos), split_file=path)
    here = scan_folder(str(photos), "folder")
    (problem,) = plan_problems(config, here)
    assert f"'b/0.jpg' has the SHA-256 {digest(b'b0').hex()[:12]}..., the file says {bad[:12]}..." in problem
    shas = [digest(b"%s%d" % (label, n)) for label in (b"a", b"b") for n in range(3)]
    with pytest.raises(UsageError, match=r"'b/0\.jpg' has the SHA-256"):
        plan_of(config, here, here, shas)


def test_a_photograph_that_cannot_be_read_is_the_runs_affair(photos, table):
    path = table(f"path,label,split,sha256\na/0.jpg,a,train,{digest(b'x').hex()}\n")
    here = scan_folder(str(photos), "folder")
    (photos / "a" / "0.jpg").unlink()
    assert plan_problems(RunConfig(image_dir=str(photos), split_file=path), here) == []


def test_names_that_are_not_utf8_read_back(tmp_path):
    records = (
        ImageRecord("a/\udcff.jpg", 0, 1, 0, 0),
        ImageRecord("a/2.jpg", 0, 1, 0, 0),
        ImageRecord("b/1.jpg", 1, 1, 0, 0),
    )
    here, shas = Catalog("p", ("a", "b"), records), [digest(b"%d" % n) for n in range(3)]
    split = split_images(here, shas, REQUEST)
    path = tmp_path / "split.csv"
    path.write_bytes(split_csv(here, shas, split).encode("utf-8", "backslashreplace"))
    plan, problems = plan_split(here, split_file=str(path))
    assert problems == []
    assert len(plan.file.sides) == len(plan.file.sha256s) == 3


def test_flags_that_do_not_go_together(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = RunConfig(image_dir="photos", group_by="folder", split_rule="poets", split_file="none.csv")
    problems = config.problems()
    assert len(problems) == 2
    assert problems[0].startswith("got --group_by=folder and --split_rule=poets")
    assert problems[1].startswith("--split_file=none.csv: expected a CSV file, there is none")
