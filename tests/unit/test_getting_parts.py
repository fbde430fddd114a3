"""The parts of fetch that need no server: lists, turns, contents, manifest."""

import json
from types import SimpleNamespace

import pytest
from support import encode, noise

from retrain.errors import ImageError, UsageError
from retrain.getting.addresses import Policy, RefusedError, parse_url
from retrain.getting.client import retry_after_s
from retrain.getting.contents import Shelf, file_name, suffix_of
from retrain.getting.lists import Wanted, list_problems, read_csv, read_urls
from retrain.getting.manifest import Manifest, Row
from retrain.getting.robots import Rules
from retrain.getting.turns import Turns

# Lists


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_addresses_a_line(tmp_path):
    path = write(tmp_path / "urls.txt", "\ufeff# my list\nhttps://a/1\r\n\n  https://a/2  \nhttps://a/1\n")
    assert read_urls(path, "cat") == [Wanted("https://a/1", "cat"), Wanted("https://a/2", "cat")]


def test_a_table_with_more_columns(tmp_path):
    path = write(
        tmp_path / "list.csv", 'label,who,url\n"open, cluster",me,https://a/1\ncat,,https://a/2\ncat,,https://a/2\n'
    )
    assert read_csv(path) == [Wanted("https://a/1", "open, cluster"), Wanted("https://a/2", "cat")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,b\n1,2\n", "got the columns a, b"),
        ("", "got the columns none"),
        (
            "url,label\nx,\n,y\nz\n",
            "line 2 of .* lacks its label\n.*line 3 of .* lacks its url\n.*line 4 of .* lacks its label",
        ),
        ('url,label\n"x,y\n', "is not CSV"),
        (b"url,label\n\xff,x\n", "UTF-8"),
    ],
)
def test_a_table_that_is_none(tmp_path, text, complaint):
    with pytest.raises(UsageError, match=f"(?s){complaint}"):
        read_csv(write(tmp_path / "list.csv", text))


@pytest.mark.parametrize("name", ["none", ".", "a\0b"])
def test_a_list_that_is_no_file(tmp_path, name):
    with pytest.raises(UsageError, match="check the spelling"):
        read_urls(f"{tmp_path}/{name}", "cat")


def test_all_that_is_wrong_with_a_list():
    wanted = [Wanted("u", "cat"), Wanted("u", "dog"), Wanted("v", ".."), Wanted("w", "Dog"), Wanted("x", "CON")]
    problems = list_problems(wanted, ["dog"])
    assert [next(word for word in ("listed", "folder:", "differ") if word in p) for p in problems] == [
        "listed", "folder:", "folder:", "differ",
    ]  # fmt: skip


# Turns


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_one_host_is_asked_one_at_a_time_with_a_pause(clock):
    turns = Turns(gap_s=5, per_s=1000, clock=clock)
    turns.put("a", 1)
    turns.put("a", 2)
    assert turns.poll() == ("a", 1)
    clock.now += 60
    assert turns.poll() == 0.0  # however long it takes
    turns.done("a")
    assert turns.poll() == 5
    clock.now += 5
    assert turns.poll() == ("a", 2)
    turns.done("a")
    assert turns.poll() is None


def test_another_host_does_not_wait(clock):
    turns = Turns(gap_s=5, per_s=1000, clock=clock)
    for job in range(3):
        turns.put("a", job)
    turns.put("b", 9)
    assert turns.poll() == ("a", 0)
    clock.now += 1
    assert turns.poll() == ("b", 9)


def test_so_many_a_second_in_all(clock):
    turns = Turns(gap_s=0, per_s=4, clock=clock)
    for host in "abc":
        turns.put(host, host)
    assert turns.poll() == ("a", "a")
    assert turns.poll() == 0.25
    clock.now += 0.25
    assert turns.poll() == ("b", "b")


def test_a_host_is_left_alone_for_as_long_as_it_wants(clock):
    turns = Turns(gap_s=1, per_s=1000, clock=clock)
    turns.put("a", 1)
    assert turns.poll() == ("a", 1)
    turns.put("a", 1)  # to be tried again
    turns.done("a", gap_s=60)
    assert turns.poll() == 60
    turns.put("a", 2)  # what comes later waits as well
    assert turns.poll() == 60


def test_a_job_that_goes_on_at_another_host_is_not_lost(clock):
    turns = Turns(gap_s=1, per_s=1000, clock=clock)
    turns.put("a", 1)
    turns.poll()
    turns.put("b", 1)
    turns.done("a")
    clock.now += 1
    assert turns.poll() == ("b", 1)


def test_who_waits_is_let_go():
    turns = Turns(gap_s=1, per_s=1000)
    turns.put("a", 1)
    turns.stop()
    assert turns.take() is None


# Retry-After


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("7", 7),
        (" 120 ", 120),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("٣", 0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
        ("Thu, 99 Jan 1970 00:00:01 GMT", 0),
        ("9" * 50, 999999999),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(text, wait_s):
    assert retry_after_s(text, 10.0) == wait_s


# Contents


@pytest.mark.parametrize(
    ("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("GIF", ".gif"), ("BMP", ".bmp"), ("WEBP", ".webp")]
)
def test_a_picture_has_the_suffix_of_its_contents(kind, suffix):
    assert suffix_of(encode(noise(20, 20), kind), 1000) == suffix


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!doctype html>", "not an image"),
        (encode(noise(20, 20), "TIFF"), "not an image"),
        (encode(noise(40, 40)), "too large"),
        (encode(noise(20, 20))[:-300], "damaged"),
        (encode(noise(30, 30), "JPEG")[:-300], "damaged"),
        (b"\xff\xd8\xff", "damaged"),
    ],
)
def test_what_is_no_whole_picture_is_refused(data, reason):
    with pytest.raises(ImageError) as refused:
        suffix_of(data, 1000)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a/b/m13.JPG?size=l", "m13-abcdefabcdef.jpg"),
        ("https://a/", "picture-abcdefabcdef.jpg"),
        ("https://a/..%2F..%2Fetc%2Fpasswd", "passwd-abcdefabcdef.jpg"),
        ("https://a/%00%0a.jpg", "picture-abcdefabcdef.jpg"),
        ("https://a/-rf.jpg", "rf-abcdefabcdef.jpg"),
        ("https://a/" + "x" * 300, "x" * 60 + "-abcdefabcdef.jpg"),
        ("https://a/CON.jpg", "CON-abcdefabcdef.jpg"),
    ],
)
def test_names_are_plain(url, name):
    assert file_name(url, "abcdef" * 11, ".jpg") == name


def test_only_files_of_that_size_are_read(tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    for name, data in {"cat/1": b"aaaa", "dog/1": b"aaaa", "cat/2": b"bb", "cat/.3": b"cccc"}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "loose").write_bytes(b"cccc")
    shelf = Shelf(tmp_path)
    (tmp_path / "cat" / "2").write_bytes(b"changed since")
    assert shelf.find(b"aaaa", "dog")[1] == "dog/1"
    assert shelf.find(b"aaaa", "cat")[1] == "dog/1"  # known by now
    assert shelf.find(b"cccc", "cat")[1] == ""
    sha256, _ = shelf.find(b"dddd", "cat")
    shelf.add(sha256, "cat/d")
    assert shelf.find(b"dddd", "cat") == (sha256, "cat/d")


# Manifest

ROW = Row("https://a/\udcff1", "cat", "kept", "cat/1.jpg", "ab")


def test_rows_come_back_and_the_last_one_counts(tmp_path):
    path = tmp_path / "new" / "fetched.jsonl"
    later = Row(ROW.url, "cat", "failed", reason="x")
    for row in (ROW, later):
        with Manifest(path).open() as writer:
            writer.add(row)
    assert Manifest(path).rows == {ROW.wanted: later}
    assert len(path.read_bytes().splitlines()) == 2


def test_a_piece_of_a_line_is_cut_off_and_the_rest_stays(tmp_path):
    path = tmp_path / "fetched.jsonl"
    with Manifest(path).open() as writer:
        writer.add(ROW)
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        manifest = Manifest(path)
        assert manifest.rows == {ROW.wanted: ROW}
        with manifest.open():
            pass
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    ["x", "[]", "{}", "[" * 100_000, json.dumps({"url": "a", "label": "b", "status": "odd"}),
     json.dumps({"url": 1, "label": "b", "status": "kept"}), json.dumps({"url": "a", "label": "b", "status": "kept", "more": ""})],
)  # fmt: skip
def test_a_foreign_manifest_is_said(tmp_path, line):
    path = write(tmp_path / "fetched.jsonl", line + "\n")
    with pytest.raises(UsageError, match=r"line 1 of .*move the file away"):
        Manifest(path)


# robots.txt, by the examples of RFC 9309


def allows(text, path, name="retrain-photos"):
    data = text if isinstance(text, bytes) else text.encode()
    client = SimpleNamespace(policy=Policy(), get=lambda *_: SimpleNamespace(location="", status=200, data=data))
    try:
        Rules(client, name, 60).check(parse_url(f"https://photos.example{path}", Policy()))
    except RefusedError as error:
        return "does not allow it" not in str(error)
    return True


SECTION_5_1 = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


@pytest.mark.parametrize(
    ("name", "path", "is_allowed"),
    [
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/publications/", False),
        ("FooBot", "/else", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/example/allowed.gif", True),
        ("quxbot", "/example/page.html", True),
        ("other", "/a/picture.gif", False),
        ("other", "/a/picture.gif?size=2", True),
        ("other", "/a/picture.giff", True),
        ("other", "/example/x.jpg", False),
        ("other", "/publications/x.jpg", True),
        ("other", "/publications/x.gif", True),  # its rule is the longer one
    ],
)
def test_each_asks_by_its_own_rules(name, path, is_allowed):
    assert allows(SECTION_5_1, path, name) == is_allowed


@pytest.mark.parametrize(
    ("rules", "path", "is_allowed"),
    [
        ("Allow: /example/page/\nDisallow: /example/page/disallowed.gif", "/example/page/disallowed.gif", False),
        ("Allow: /example/page/\nDisallow: /example/page/disallowed.gif", "/example/page/x.gif", True),
        ("Disallow: /example/page/disallowed.gif\nAllow: /example/page/", "/example/page/disallowed.gif", False),
        ("Disallow: /\nAllow: /", "/x", True),  # as long as each other: allowed
        ("Allow: /this/path/exactly$\nDisallow: /", "/this/path/exactly", True),
        ("Allow: /this/path/exactly$\nDisallow: /", "/this/path/exactly/not", False),
        ("Disallow: /this/*/exactly", "/this/and/that/exactly.jpg", False),
        ("Disallow: /this/*/exactly", "/this/exactly.jpg", True),
        ("Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-*.html", False),
        ("Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-b.html", True),
        ("Disallow: /path/foo-%24", "/path/foo-$", False),
        ("Disallow: /path/foo-%24", "/path/foo-", True),
        ("Disallow: /foo/bar?baz=quz", "/foo/bar?baz=quz", False),
        ("Disallow: /foo/bar/%62%61%7A", "/foo/bar/baz", False),
        ("Disallow: /foo/bar/\u30c4", "/foo/bar/%E3%83%84", False),
        ("Disallow: /foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", False),
        ("Disallow:", "/x", True),
        ("Disallow: " + "*a" * 5000, "/" + "a" * 4000 + "b", True),  # no rule takes long
    ],
)
def test_the_longest_rule_that_fits_counts(rules, path, is_allowed):
    assert allows(f"User-agent: *\n{rules}\n", path) == is_allowed


def test_groups_of_one_name_are_one_and_a_mark_of_utf8_is_no_letter():
    assert not allows(b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /no\r\n", "/no")
    text = "User-agent: *\nDisallow: /a\n\nUser-agent: retrain-photos\nDisallow: /b\n\nUser-agent: RETRAIN-PHOTOS\nDisallow: /c"
    assert [allows(text, path) for path in ("/a", "/b", "/c")] == [True, False, False]
