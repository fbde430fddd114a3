"""The Data page's requests: what they answer, what they refuse, and that the page's list follows the disk."""

import errno
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from studio_kills import PHOTO_BYTES, REMOVED, files, folders, grow, photographs
from studio_rooms import app_of, client_of, trained, untrained
from support import write_tree

from retrain import fsio
from retrain.dataset import Catalog, ImageRecord
from retrain.fsio.system import CREATE
from retrain.insight.corrections import JOURNAL
from retrain.studio.listing import Listing
from retrain.studio.workshop import Standing, config_of

OWN = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}


class Page:
    """What a page would ask."""

    def __init__(self, client):
        self._client = client

    def get(self, path, status=200, **given):
        answer = self._client.get(f"/studio/{path}", **given)
        assert answer.status_code == status, answer.text
        return answer

    def post(self, path, status=200, **facts):
        answer = self._client.post(f"/studio/{path}", headers=OWN, json=facts)
        assert answer.status_code == status, answer.text
        return answer.json()

    def upload(self, folder, *named, status=200, **fields):
        parts = [("folder", None, folder.encode()), *((key, None, str(one).encode()) for key, one in fields.items())]
        parts += [("files", name, data) for name, data in named]
        answer = self._client.post("/studio/upload", headers={**OWN, "content-type": "multipart/form-data; boundary=B"},
                                   content=b"".join(_part(*one) for one in parts) + b"--B--\r\n")  # fmt: skip
        assert answer.status_code == status, answer.text
        return answer.json()

    def state(self):
        return self.get("state").json()

    def counts(self):
        return {one["folder"]: one["count"] for one in self.state()["classes"]}

    def paths(self, query=""):
        return [one["path"] for one in self.get(f"photographs?{query}").json()["items"]]


def _part(key, name, data):
    file = f'; filename="{name}"'.encode() if name is not None else b""
    return b'--B\r\nContent-Disposition: form-data; name="' + key.encode() + b'"' + file + b"\r\n\r\n" + data + b"\r\n"


@pytest.fixture
def empty(tmp_path):
    config = untrained(tmp_path)
    with client_of(app_of(config)) as client:
        yield Page(client), tmp_path / "photos"


@pytest.fixture
def page(tmp_path):
    root = grow(tmp_path / "photos", 3)
    (root / "a/0.jpg").write_bytes(PHOTO_BYTES)
    with client_of(app_of(config_of(str(tmp_path / "out/model.pb"), str(root)))) as client:
        yield Page(client), root


def test_from_nothing_two_classes_with_photographs(empty):
    page, root = empty
    assert page.state()["photographs"] == 0
    assert page.counts() == {}
    page.post("classes/make", name="cats")
    assert page.counts() == {"cats": 0}
    assert page.post("classes/make", 400, name="cats")["error"] == "cats is there already"
    added = page.upload("cats", ("1.png", PHOTO_BYTES), ("1.png", PHOTO_BYTES))
    assert added["added"] == ["cats/1.png", "cats/1-2.png"]
    assert added["undo"] == "2 photographs added to cats"
    page.upload("dogs", ("1.png", PHOTO_BYTES))
    assert page.counts() == {"cats": 2, "dogs": 1}
    assert page.state()["problems"] == [] or all("dogs" in one for one in page.state()["problems"])
    for _ in range(3):
        page.post("undo")
    assert page.counts() == {}
    assert folders(root) == set()
    assert "nothing to undo" in page.post("undo", 400)["error"]


def test_no_problem_is_said_twice(empty):
    page, _ = empty
    page.post("classes/make", name="cats")
    problems = page.post("rescan") and page.state()["problems"]
    assert problems
    assert len(problems) == len(set(problems))


def test_what_the_page_does_is_on_the_disk_and_in_the_next_list(page):
    page, root = page
    assert page.post("move", paths=["a/0.jpg", "a/1.jpg"], to="new")["moved"] == 2
    assert page.paths("folder=new") == ["new/0.jpg", "new/1.jpg"]
    assert page.post("take_out", paths=["new/1.jpg"])["undo"] == "1.jpg taken out"
    assert page.post("classes/merge", old="b", into="c")["moved"] == 3
    assert page.counts() == {"a": 1, "c": 6, "new": 1}
    page.post("classes/rename", old="c", new="d")
    assert page.post("undo")["undo"] == "3 photographs moved to c"
    assert (root / REMOVED / "new/1.jpg").is_file()
    for _ in range(3):
        page.post("undo")
    assert page.counts() == {"a": 3, "b": 3, "c": 3}
    assert page.state()["undo"] == ""


def test_a_photograph_that_vanished_is_a_sentence_and_the_next_list_is_without_it(page):
    page, root = page
    (root / "a/1.jpg").unlink()
    revision = page.state()["revision"]
    assert (
        "a/1.jpg is gone since it was listed" in page.post("move", 400, paths=["a/0.jpg", "a/1.jpg"], to="b")["error"]
    )
    assert page.state()["revision"] > revision
    assert page.paths("folder=a") == ["a/0.jpg", "a/2.jpg"]
    assert "reload the page" in page.post("move", 400, paths=["a/1.jpg"], to="b")["error"]


def test_what_other_programs_did_is_seen_when_the_page_looks_again(page):
    page, root = page
    (root / "b/0.jpg").rename(root / "b/9.jpg")
    (root / "z").mkdir()
    page.post("rescan")
    assert page.paths("folder=b") == ["b/1.jpg", "b/2.jpg", "b/9.jpg"]
    assert page.counts()["z"] == 0


def test_a_disk_that_refuses_is_a_sentence(page):
    page, root = page
    before = photographs(root)

    def readonly(operation):
        if operation.kind == CREATE:
            raise OSError(errno.EROFS, "Read-only file system", operation.path)

    with fsio.watching(readonly):
        for path, facts in (("move", {"paths": ["a/0.jpg"], "to": "b"}), ("classes/make", {"name": "x"})):
            assert "Read-only file system" in page.post(path, 409, **facts)["error"]
        assert "Read-only file system" in page.upload("a", ("1.png", PHOTO_BYTES), status=409)["error"]
    assert photographs(root) == before


def test_a_journal_that_cannot_be_read_does_not_shut_the_page(page):
    page, root = page
    (root / JOURNAL).write_text("nonsense\n")
    assert "is not one that fix writes" in page.state()["undo"]
    assert "is not one that fix writes" in page.post("undo", 400)["error"]
    assert page.counts() == {"a": 3, "b": 3, "c": 3}


def test_an_upload_in_parts_is_one_change(page):
    page, _ = page
    first = page.upload("a", ("x.png", PHOTO_BYTES), ("bad.png", b"no"))
    assert [one["name"] for one in first["refused"]] == ["bad.png"]
    second = page.upload("a", ("y.png", PHOTO_BYTES), fix=first["fix"])
    assert second["undo"] == "2 photographs added to a"
    assert page.post("undo")["moved"] == 2
    assert page.upload("a", ("bad.png", b"no"))["added"] == []


@pytest.mark.parametrize(
    ("folder", "named", "fields"),
    [("", [("1.png", PHOTO_BYTES)], {}), ("a", [], {}), ("../x", [("1.png", PHOTO_BYTES)], {}),
     ("a", [("1.png", PHOTO_BYTES)], {"fix": "-1"}), (".removed", [("1.png", PHOTO_BYTES)], {}),
     ("a/b", [("1.png", PHOTO_BYTES)], {})],
)  # fmt: skip
def test_an_upload_that_cannot_be_is_refused(page, folder, named, fields):
    page, root = page
    before = files(root)
    assert page.upload(folder, *named, status=400, **fields)["error"]
    assert files(root) == before


def test_a_picture_is_kept_by_the_browser_while_its_version_is_the_same(page):
    page, _ = page
    [item] = page.get("photographs?folder=a&count=1").json()["items"]
    address = f"picture?path={quote(item['path'])}&v={item['version']}"
    first = page.get(address)
    assert first.headers["content-type"] == "image/jpeg"
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert first.content[:3] == b"\xff\xd8\xff"
    again = page.get(address, 304, headers={"if-none-match": first.headers["etag"]})
    assert again.content == b""
    assert page.get("picture?path=a/0.jpg").headers["cache-control"] == "private, no-cache"
    page.post("move", paths=["a/0.jpg"], to="b")
    page.get(address, 404)
    moved = next(one for one in page.get("photographs?folder=b").json()["items"] if one["path"] == "b/0-2.jpg")
    assert moved["version"] != item["version"]


def test_a_name_that_is_no_utf8_is_shown_listed_and_moved(page):
    page, root = page
    folder = os.fsdecode(b"b\xfcsche")
    (root / folder).mkdir()
    (root / folder / os.fsdecode(b"\xff \xe9.png")).write_bytes(PHOTO_BYTES)
    page.post("rescan")
    [item] = page.get("photographs?folder=b%fcsche").json()["items"]
    assert page.get(f"picture?path={quote(os.fsencode(item['path']))}").content[:3] == b"\xff\xd8\xff"
    page.post("move", paths=[item["path"]], to="a")
    assert os.fsdecode(b"a/\xff \xe9.png") in page.paths("folder=a")


def test_only_photographs_of_the_folder_are_shown(page, tmp_path):
    page, root = page
    (tmp_path / "secret.png").write_bytes(PHOTO_BYTES)
    (root / ".hidden").mkdir()
    (root / ".hidden/1.png").write_bytes(PHOTO_BYTES)
    (root / "a/notes.txt").write_text("secret")
    (root / "outside").symlink_to(tmp_path)
    os.mkfifo(root / "a/pipe.png")
    for path in (
        "", ".", "..", "../secret.png", "a/../../secret.png", "/etc/passwd", ".hidden/1.png", "a", "a/", "a//0.jpg",
        "a/pipe.png", "outside/secret.png", "a/none.png", "n" * 300, f"a/{'n' * 300}", JOURNAL + "/x", "a/0.jpg%00",
    ):  # fmt: skip
        page.get(f"picture?path={path}", 404)
    page.get("picture?path=a/notes.txt", 415)
    page.get("picture?path=a/1.jpg", 415)
    page.get("picture?path=a/0.jpg&size=huge", 400)
    page.get("photographs?count=1001", 400)
    page.get("photographs?start=-1", 400)
    # A class folder that is a link is read by a run, so it is shown.
    write_tree(tmp_path / "elsewhere", {"d": {"1.png": PHOTO_BYTES}})
    (root / "d").symlink_to(tmp_path / "elsewhere/d")
    page.get("picture?path=d/1.png", 404)
    page.post("rescan")
    page.get("picture?path=d/1.png")


def test_in_folders_of_sides_photographs_move_and_classes_are_left_to_hands(tmp_path):
    for side in ("train", "val"):
        write_tree(tmp_path / "photos" / side, {"cat": {"1.png": PHOTO_BYTES}, "dog": {"2.png": PHOTO_BYTES}})
    with client_of(app_of(config_of(str(tmp_path / "model.pb"), str(tmp_path / "photos")))) as client:
        page = Page(client)
        assert page.counts() == {"cat": 2, "dog": 2}
        assert page.post("move", paths=["val/cat/1.png"], to="dog")["moved"] == 1
        assert page.paths("folder=dog") == ["train/dog/2.png", "val/dog/1.png", "val/dog/2.png"]
        assert page.upload("cat", ("new.png", PHOTO_BYTES))["added"] == ["train/cat/new.png"]
        for path, facts in (
            ("make", {"name": "x"}),
            ("rename", {"old": "cat", "new": "x"}),
            ("merge", {"old": "cat", "into": "dog"}),
            ("drop", {"name": "cat"}),
        ):
            assert "made and renamed by hand" in page.post(f"classes/{path}", 400, **facts)["error"]
        page.post("undo")
        page.post("undo")
        assert page.counts() == {"cat": 2, "dog": 2}


def test_the_doctor_is_asked_from_the_page(tmp_path):
    config = trained(tmp_path)
    (tmp_path / "photos/class_0/bad.png").write_bytes(b"no photograph")
    (tmp_path / "photos/class_1/empty.png").write_bytes(b"")
    with client_of(app_of(config)) as client:
        findings = Page(client).get("doctor").json()["findings"]
    assert all({"severity", "kind", "title", "text", "fix", "examples"} == set(one) for one in findings)
    named = [example for one in findings for example in one["examples"]]
    assert any("bad.png" in one for one in named)
    order = [("error", "warning", "note").index(one["severity"]) for one in findings]
    assert order == sorted(order)


def test_of_100_000_photographs_a_page_is_found_by_an_index():
    labels = tuple(f"class {number:02d}" for number in range(50))
    records = tuple(ImageRecord(f"{labels[n // 2000]}/{n % 2000:04d}.jpg", n // 2000, 1, n, n) for n in range(100_000))
    standing, listing = Standing(7, Catalog("photos", labels, records)), Listing()
    assert listing.classes(Path("none"), standing.catalog)[3] == {"folder": "class 03", "count": 2000}
    page = listing.page(standing, "class 10", "", 1999, 5)
    assert (page["total"], [one["path"] for one in page["items"]]) == (2000, ["class 10/1999.jpg"])
    found = listing.page(standing, "", "0999.jpg", 49, 5)
    assert (found["total"], [one["path"] for one in found["items"]]) == (50, ["class 49/0999.jpg"])
    assert listing.page(standing, "none", "", 0, 5)["total"] == 0
    assert listing.is_listed(standing, "class 49/1999.jpg")
    assert not listing.is_listed(standing, "class 50/0000.jpg")
    assert listing.page(Standing(), "", "", 0, 5) == {"revision": 0, "total": 0, "items": []}
