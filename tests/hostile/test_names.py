"""Hostile names as class folders, labels of lists and of models, through whole runs: they stay names everywhere."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT
from label_support import write_model
from names_hostile import FORMULA, NAMES, everything, folders, is_label, pictures
from PIL import Image
from support import encode, noise

sys.path.insert(0, str(ROOT / "tests" / "faults"))

import fake_run

from retrain import cli, label
from retrain.console import printable
from retrain.head import Head

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names that other systems refuse or change")

FOLDERS = [name for name in folders().values() if is_label(name)]
LISTED = [name for name in NAMES.values() if is_label(name) and name.strip()]
OUTPUTS = ("out", "summaries", "bottlenecks", "models", "sorted", "marked", "doctor")
NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?|nan")


class Run:
    """One fake run: its folder, its flags, what it said, and what there was around it before."""

    def __init__(self, place, capsys):
        self.place = place / "deep" / "inside"
        self.flags = fake_run.prepare(self.place)
        shutil.rmtree(self.place / "photos")
        self.capsys, self.above = capsys, place

    def train(self, *more):
        self.before = everything(self.above)
        self.code = fake_run.run_here([*self.flags, *more])
        self.said = self.capsys.readouterr()
        self.out = self.place / "out"

    def left_outside(self):
        """What lies elsewhere than in the folders that were named, or changed there."""
        inside = tuple(f"{self.place}{os.sep}{name}" for name in OUTPUTS)
        after = everything(self.above)
        return [
            path
            for path in {*after, *self.before}
            if after.get(path) != self.before.get(path) and not path.startswith(inside)
        ]


@pytest.fixture(scope="module")
def quiet_capsys():
    """capsys of a module: what is printed between two calls."""

    class Capture:
        def __init__(self):
            self.out, self.err = io.StringIO(), io.StringIO()

        def readouterr(self):
            found = self.out.getvalue(), self.err.getvalue()
            for stream in (self.out, self.err):
                stream.seek(0)
                stream.truncate()
            return type("Said", (), {"out": found[0], "err": found[1]})

    capture = Capture()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", capture.out)
        patch.setattr(sys, "stderr", capture.err)
        yield capture


@pytest.fixture(scope="module")
def in_folders(tmp_path_factory, quiet_capsys):
    """A run on class folders of all names that can be some; one file of each is none that is an image."""
    run = Run(tmp_path_factory.mktemp("folders"), quiet_capsys)
    pictures(run.place / "photos", FOLDERS)
    for name in FOLDERS:
        (run.place / "photos" / name / "+bad.jpg").write_bytes(b"no")
    run.train("--max_skipped_percentage=40")
    return run


@pytest.fixture(scope="module")
def in_list(tmp_path_factory, quiet_capsys):
    """A run on a list whose labels are all names that can be some."""
    run = Run(tmp_path_factory.mktemp("listed"), quiet_capsys)
    plain = [f"{number:02}" for number in range(len(LISTED))]
    files = pictures(run.place / "photos", plain)
    rows = [[str(path.relative_to(run.place / "photos")), LISTED[int(path.parent.name)]] for path in files]
    with (run.place / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label"], *rows])
    run.train(f"--image_list={run.place / 'list.csv'}")
    return run


@pytest.fixture(scope="module")
def harmless(tmp_path_factory, quiet_capsys):
    """The same run on names that do nothing."""
    run = Run(tmp_path_factory.mktemp("harmless"), quiet_capsys)
    pictures(run.place / "photos", [f"class {number}" for number in range(len(LISTED))])
    for number in range(len(LISTED)):
        (run.place / "photos" / f"class {number}" / "bad.jpg").write_bytes(b"no")
    run.train("--max_skipped_percentage=40")
    return run


@pytest.fixture(params=["in_folders", "in_list"])
def run(request):
    return request.getfixturevalue(request.param)


def labels_of(run):
    return FOLDERS if (run.place / "photos" / FOLDERS[0]).exists() else LISTED


def test_there_are_more_than_forty():
    assert len(set(NAMES.values())) >= 40
    assert len(FOLDERS) >= 40


def test_a_run_trains_on_them_and_writes_where_it_was_told(run):
    assert (run.code, run.said.err) == (0, "")
    assert run.left_outside() == []
    assert (run.out / "labels.txt").read_text("utf-8").split("\n")[:-1] == sorted(labels_of(run))
    written = {path.name for path in run.out.iterdir()}
    assert written >= {"model.pb", "model.tflite", "report.html", "model.model_card.md", "model.metrics.json"}
    assert all(path.is_file() for path in run.out.iterdir())


def test_the_terminal_is_not_steered(run):
    assert all(line.isprintable() for line in run.said.out.split("\n"))


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, where its links lead to, and its text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.seen, self.links, self.text, self.scripts = set(), set(), [], 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen |= {(tag, name) for name, _ in attributes} | {(tag, "")}
        self.links |= {
            re.split(r"[^a-z]", value or "", maxsplit=1)[0] for name, value in attributes if name in ("href", "src")
        }
        self.scripts += tag == "script"

    def handle_comment(self, data):
        self.seen.add(("comment", ""))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_has_no_element_that_it_would_not_have_otherwise(run, harmless):
    assert harmless.code == 0
    page = Elements((run.out / "report.html").read_text("utf-8"))
    plain = Elements((harmless.out / "report.html").read_text("utf-8"))
    assert page.seen <= plain.seen
    assert (page.links <= plain.links, page.scripts) == (True, plain.scripts)
    text = " ".join(page.text)
    assert sum(printable(name)[:40] in text for name in labels_of(run)) > 0.9 * len(labels_of(run))
    assert all(character.isprintable() or character in "\n\t" for character in text)


def test_the_card_has_no_markup_of_theirs(run):
    card = (run.out / "model.model_card.md").read_text("utf-8")
    assert re.search(r"(?<!\\)<(img|script|svg|b>|!--)", card) is None
    assert re.search(r"(?<!\\)\]\(javascript", card) is None
    assert all(line.isprintable() for line in card.split("\n"))


def tables(folder):
    for path in sorted(folder.rglob("*.csv")):
        yield path.name, list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True))


def test_tables_have_as_many_cells_as_columns(run):
    found = dict(tables(run.out))
    assert set(found) >= {"model.split.csv", "model.predictions.csv", "model.suspects.csv"}
    for rows in found.values():
        assert {len(row) for row in rows} == {len(rows[0])}


def test_no_cell_is_a_formula(run):
    """In what a run leaves and in what label_image writes; what is read again comes back as it was."""
    found = dict(tables(run.out))
    cells = [cell for rows in found.values() for row in rows for cell in row]
    assert [cell for cell in cells if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell)] == []


def test_json_can_be_read_and_names_the_labels(run):
    for path in run.out.glob("*.json"):
        json.loads(path.read_text("utf-8"))
    metrics = (run.out / "model.metrics.json").read_text("utf-8")
    assert "NaN" not in metrics


def test_tables_of_tensorboard_have_a_line_a_photograph(run):
    found = list((run.place / "summaries").rglob("*.tsv"))
    assert found
    for path in found:
        lines = path.read_text("utf-8").split("\n")
        assert {line.count("\t") for line in lines if line} == {lines[0].count("\t")}


def test_label_image_sorts_and_draws_where_it_was_told(run, capsys):
    graph = str(run.out / "model.pb")
    photographs = [str(path) for path in sorted((run.place / "photos").glob("*/[0-9]*_1.png"))]
    words = ["--image", *photographs, "--graph", graph, "--threads=1", "--min_score=0", "--min_cosine=0"]
    more = [f"--sort_into={run.place / 'sorted'}", f"--annotate={run.place / 'marked'}", "--evidence", "--sets"]
    run.before = everything(run.above)
    codes = [label.main([*words, *more])]
    codes += [
        label.main([*words, f"--output={run.place / 'out' / f'names.{kind}'}"]) for kind in ("csv", "json", "jsonl")
    ]
    said = capsys.readouterr()
    assert set(codes) == {0}, said.err
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))
    assert run.left_outside() == []
    for folder in (run.place / "sorted").iterdir():
        assert folder.is_dir()
        assert folder.name.isprintable()
        assert not folder.name.startswith((".", "~" + os.sep))
        assert not set(folder.name) & set('<>:"/\\|?*')
    rows = json.loads((run.out / "names.json").read_text("utf-8"))
    assert {row["label"] for row in rows if row["label"]} <= {*labels_of(run), "unknown"}


def test_the_doctor_says_them_harmlessly(in_folders, capsys, monkeypatch):
    monkeypatch.setattr("retrain.doctor.diagnosis._prepared", lambda *given: (None, "this is a test"))
    place = in_folders.place
    in_folders.before = everything(in_folders.above)
    words = [f"--image_dir={place / 'photos'}", f"--output_dir={place / 'doctor'}", f"--model_dir={place / 'models'}"]
    code = cli.main(["doctor", *words, f"--bottleneck_dir={place / 'bottlenecks'}", "--no_features"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))
    assert in_folders.left_outside() == []
    found = json.loads((place / "doctor" / "doctor.json").read_text("ascii"))
    assert [one["label"] for one in found["classes"]] == sorted(FOLDERS)
    cells = [cell for _, rows in tables(place / "doctor") for row in rows for cell in row]
    assert [cell for cell in cells if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell)] == []


def test_photographs_of_them_are_moved_and_moved_back(in_folders, tmp_path, capsys):
    photos = tmp_path / "photos"
    shutil.copytree(in_folders.place / "photos", photos)
    moved = [(Path(name, f"{number}_1.png"), FOLDERS[number - 1]) for number, name in enumerate(FOLDERS)]
    with (tmp_path / "moves.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "to"], *moved])
    before = everything(tmp_path)
    words = [f"--graph={in_folders.out / 'model.pb'}", f"--image_dir={photos}", "--no_refit"]
    code = cli.main(["fix", f"--apply={tmp_path / 'moves.csv'}", *words])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert all((photos / to / path.name).is_file() and not (photos / path).exists() for path, to in moved)
    assert cli.main(["fix", "--undo", *words]) == 0
    said = said.out + said.err + "".join(capsys.readouterr())
    assert all(line.isprintable() for line in said.split("\n"))
    left = {path for path in everything(tmp_path) if path not in before}
    assert all(Path(path).name.endswith((".lock", ".json", ".jsonl", ".csv")) for path in left), left


@pytest.mark.parametrize("what", [what for what, name in NAMES.items() if not is_label(name)])
def test_a_name_that_can_be_no_line_is_refused(tmp_path, what, capsys):
    name = NAMES[what]
    flags = fake_run.prepare(tmp_path / "inside")
    if what in folders():
        pictures(tmp_path / "inside" / "photos" / "x", [name])
        shutil.move(tmp_path / "inside" / "photos" / "x" / name, tmp_path / "inside" / "photos" / name)
        (tmp_path / "inside" / "photos" / "x").rmdir()
    else:
        flags.append(f"--image_list={tmp_path / 'inside' / 'photos' / 'list.csv'}")
        rows = [["path", "label"], ["class_0/0000.png", name], ["class_1/0001.png", "plain"]]
        with (tmp_path / "inside" / "photos" / "list.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    before = everything(tmp_path)
    code = fake_run.run_here(flags)
    said = capsys.readouterr()
    assert code == 2, said
    assert "has a name that cannot be a line of the labels file" in said.err
    assert all(line.isprintable() for line in said.err.split("\n"))
    assert everything(tmp_path) == before


@pytest.fixture(scope="module")
def strange_model(tmp_path_factory):
    """A model of a stranger, whose labels no run would have taken."""
    place = tmp_path_factory.mktemp("strange") / "deep" / "inside"
    place.mkdir(parents=True)
    names = tuple(name for name in NAMES.values() if "\udcff" not in name)
    weights = np.random.default_rng(0).normal(size=(12, len(names))).astype(np.float32)
    graph = write_model(place, Head(weights, np.zeros(len(names), np.float32), 1), names)
    for number in range(12):
        (place / "photos").mkdir(exist_ok=True)
        (place / "photos" / f"{number}.png").write_bytes(encode(noise(8, 8, number)))
    return place, graph, names


@pytest.mark.parametrize("kind", ["text", "csv", "json", "jsonl"])
def test_labels_of_a_strangers_model_are_told_harmlessly(strange_model, kind, capsys):
    place, graph, names = strange_model
    before = everything(place.parents[1], without=("sorted",))
    words = ["--image", str(place / "photos"), "--graph", str(graph), "--threads=1", f"--format={kind}", "--top_k=70"]
    code = label.main([*words, f"--sort_into={place.parents[1] / 'sorted'}"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert everything(place.parents[1], without=("sorted",)) == before
    folders = list((place.parents[1] / "sorted").iterdir())
    assert all(folder.is_dir() and folder.name.isprintable() for folder in folders)
    if kind == "text":
        assert all(line.isprintable() for line in said.out.split("\n"))
    elif kind == "csv":
        cells = [cell for row in csv.reader(io.StringIO(said.out, newline="")) for cell in row]
        assert [cell for cell in cells if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell)] == []
    else:
        rows = json.loads(said.out) if kind == "json" else [json.loads(line) for line in said.out.split("\n") if line]
        assert {guess["label"] for row in rows for guess in row["guesses"]} == set(names)


def test_a_strangers_model_is_shown_harmlessly(strange_model, capsys):
    _, graph, _ = strange_model
    assert cli.main(["show", str(graph)]) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def test_labels_are_drawn_beside_a_photograph(strange_model):
    place, graph, _ = strange_model
    marked = place / "marked.png"
    words = ["--image", str(place / "photos" / "1.png"), "--graph", str(graph), "--threads=1", f"--annotate={marked}"]
    assert label.main(words) == 0
    with Image.open(marked) as drawn:
        assert drawn.width > 8
