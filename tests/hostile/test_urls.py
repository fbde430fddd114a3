"""Addresses from strangers, whole commands: nothing but a public https address is ever connected to or even resolved."""

from __future__ import annotations

import csv
import itertools
import json
import socket

import pytest
from photo_server import page, sent_to, serving
from support import encode, noise, write_tree
from urls_hostile import INNER, NEVER

from retrain.cli import main
from retrain.console import Console
from retrain.getting.addresses import Policy, RefusedError, connectable, is_public, parse_url
from retrain.getting.download import Options, fetch_all
from retrain.getting.lists import Wanted

PHOTO = encode(noise(20, 20), "JPEG")


def no_network(host, port):
    raise AssertionError(f"{host} was resolved")


STRICT = Policy(resolve=no_network)


@pytest.fixture
def asked(monkeypatch):
    """What the system was asked for: names that were resolved, and addresses that were connected to; none answers."""
    seen = {"names": [], "addresses": []}
    real = socket.getaddrinfo

    def resolved(host, port, *more, **options):
        try:
            return real(host, port, *more, **{**options, "flags": socket.AI_NUMERICHOST})
        except socket.gaierror:
            seen["names"].append(host)
            raise

    def connected(self, address):
        seen["addresses"].append(address[0])
        raise OSError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket.socket, "connect", connected)
    return seen


def table(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)


def test_the_lists_are_as_long_as_promised():
    assert len(set(NEVER)) >= 40
    assert len(set(INNER)) >= 20


@pytest.mark.parametrize("url", NEVER)
def test_what_must_not_be_reached_is_refused_unresolved(url):
    with pytest.raises(RefusedError):
        connectable(parse_url(url, STRICT), STRICT)


def test_a_list_of_them_all_is_refused_by_the_command_and_nothing_is_asked(tmp_path, asked, capsys):
    listed = [url for url in NEVER if url.strip()]
    words = ["--csv", table(tmp_path / "list.csv", ["url", "label"], [(url, "cat") for url in listed])]
    code = main(["fetch", *words, "--image_dir", str(tmp_path / "photos"), "--pause_s=0", "--per_second=1000"])
    said = capsys.readouterr()
    assert code == 9
    assert asked == {"names": [], "addresses": []}
    rows = [json.loads(line) for line in (tmp_path / "photos" / "fetched.jsonl").read_text().splitlines()]
    assert {(row["url"], row["status"]) for row in rows} == {(url.strip(), "refused") for url in listed}
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert {path.name for path in (tmp_path / "photos").iterdir()} <= {"fetched.jsonl", ".fetching.lock"}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("answers", ["{0}", "8.8.8.8 {0}", "{0} 8.8.8.8"])
def test_a_name_that_stands_for_an_inner_address_is_not_connected_to(tmp_path, asked, inner, answers):
    policy = Policy(resolve=lambda host, port: answers.format(inner).split())
    options = Options(tmp_path / "photos", gap_s=0, per_s=10_000, tries=1, policy=policy)
    (row,) = fetch_all([Wanted("https://photos.example/1.jpg", "cat")], options, Console(quiet=True)).rows
    assert (row.status, asked["addresses"]) == ("refused", [])
    assert inner in row.reason


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_looked_at(tmp_path, asked):
    answers = itertools.cycle([["8.8.8.8"], ["127.0.0.1"], ["169.254.169.254"]])
    options = Options(
        tmp_path / "photos", gap_s=0, per_s=10_000, tries=6, backoff_s=0,
        policy=Policy(resolve=lambda host, port: next(answers)),
    )  # fmt: skip
    fetch_all([Wanted(f"https://photos.example/{n}.jpg", "cat") for n in range(4)], options, Console(quiet=True))
    assert (set(asked["addresses"]), asked["names"]) == ({"8.8.8.8"}, [])


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def here(text):
    """The one inner address that the test's own server has."""
    return text == "127.0.0.1" or is_public(text)


# Of those a server can put into a header, without the two that stand for its own address.
SENT_TO = [url for url in NEVER if url.isprintable() and url.isascii() and "//127.0.0.1" not in url and url]


@pytest.mark.parametrize("url", SENT_TO)
def test_a_server_that_sends_on_to_them_sends_nowhere(tmp_path, server, url, monkeypatch):
    server.pages["/a"] = sent_to(url)
    reached = []
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: reached.append(place) or real(self, place))

    strict = Options(
        tmp_path / "photos", gap_s=0, per_s=10_000, tries=1, timeout_s=5,
        policy=Policy(allow_http=True, public=here, resolve=lambda host, port: ["10.0.0.1"]),
    )  # fmt: skip
    (row,) = fetch_all([Wanted(f"{server.url}/a", "cat")], strict, Console(quiet=True)).rows
    assert row.status in ("refused", "failed")
    assert {place[:2] for place in reached} == {("127.0.0.1", server.server_port)}
    assert list(tmp_path.rglob("*.jpg")) == []


def test_addresses_in_a_list_of_photographs_are_no_photographs(tmp_path, asked, capsys):
    write_tree(tmp_path / "photos", {"cat": {"1.jpg": PHOTO}})
    rows = [("cat/1.jpg", "cat")] + [(url, "dog") for url in NEVER if url.strip() and "\0" not in url]
    listed = table(tmp_path / "photos" / "list.csv", ["path", "label"], rows)
    places = [f"--{name}={tmp_path / name}" for name in ("bottleneck_dir", "model_dir", "summaries_dir")]
    places += [f"--output_graph={tmp_path / 'model.pb'}", f"--output_labels={tmp_path / 'labels.txt'}"]
    before = sorted(tmp_path.rglob("*"))
    assert main([f"--image_list={listed}", *places]) == 2
    said = capsys.readouterr().err
    assert f"{len(rows) - 1} problems" in said or "more lines like these" in said
    assert (asked, sorted(tmp_path.rglob("*"))) == ({"names": [], "addresses": []}, before)


def test_what_watches_sees_a_connection(tmp_path, asked):
    (tmp_path / "urls.txt").write_text("https://photos.example/1.jpg\nhttps://8.8.8.8/1.jpg\n")
    words = ["--urls", str(tmp_path / "urls.txt"), "--label=cat", "--image_dir", str(tmp_path / "photos")]
    assert main(["fetch", *words, "--pause_s=0", "--tries=1"]) == 9
    assert asked == {"names": ["photos.example"], "addresses": ["8.8.8.8"]}


def test_a_public_page_is_what_is_fetched_otherwise(tmp_path, server):
    server.pages["/b.jpg"] = page(PHOTO)
    policy = Policy(allow_http=True, allow_private=True, resolve=no_network)
    options = Options(tmp_path / "photos", gap_s=0, per_s=10_000, policy=policy)
    (row,) = fetch_all([Wanted(f"{server.url}/b.jpg", "cat")], options, Console(quiet=True)).rows
    assert row.status == "kept"
