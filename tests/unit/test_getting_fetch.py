"""Whole fetches from a server on this machine, with every fault; nothing waits for longer than a fraction of a second."""

import hashlib
import json
import socket
import ssl
import threading
from dataclasses import replace

import pytest
import trustme
from photo_server import (
    chunked,
    dripping,
    dripping_headers,
    dripping_slowly_to,
    endless,
    in_turn,
    nonsense,
    page,
    sent_to,
    serving,
    stalled,
    unmeasured,
)
from support import encode, noise

from retrain import fsio
from retrain.console import Console
from retrain.errors import RetrainError, UsageError
from retrain.getting import client as client_module
from retrain.getting import download
from retrain.getting.addresses import Policy, is_public, parse_url
from retrain.getting.asking import Asker, Finding, Job
from retrain.getting.client import Client, TryAgainError
from retrain.getting.download import Options, fetch_all
from retrain.getting.lists import Wanted

PHOTO = encode(noise(20, 20), "JPEG")
OTHER = encode(noise(20, 20, seed=1), "PNG")


@pytest.fixture
def server():
    with serving() as running:
        yield running


def here(text):
    """The one address of this machine that the tests may connect to; 127.0.0.2 stays forbidden."""
    return text == "127.0.0.1" or is_public(text)


@pytest.fixture
def options(tmp_path):
    return Options(
        tmp_path / "photos", gap_s=0, per_s=10_000, timeout_s=5, total_s=20, backoff_s=0,
        policy=Policy(allow_http=True, public=here),
    )  # fmt: skip


def get(server, options, *paths, label="cat"):
    """Fetch, and give each path's status and reason."""
    wanted = [Wanted(path if "://" in path else server.url + path, label) for path in paths]
    outcome = fetch_all(wanted, options, Console(quiet=True))
    assert [row.wanted for row in outcome.rows] == list(dict.fromkeys(wanted))
    return outcome


def only(outcome):
    (row,) = outcome.rows
    return row.status, row.reason


def kept(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.parent != folder}


def test_a_picture_is_had_under_a_plain_name_with_a_row(server, options):
    server.pages["/m13.png?size=l"] = page(PHOTO)
    (row,) = get(server, options, "/m13.png?size=l").rows
    sha256 = hashlib.sha256(PHOTO).hexdigest()
    assert kept(options.image_dir) == {f"cat/m13-{sha256[:12]}.jpg": PHOTO}
    (line,) = (options.image_dir / "fetched.jsonl").read_text().splitlines()
    assert json.loads(line) == vars(row)
    assert (row.status, row.sha256, row.path) == ("kept", sha256, f"cat/m13-{sha256[:12]}.jpg")
    assert row.date.endswith("+00:00")


def test_the_servers_are_told_who_asks(server, options):
    server.pages["/a"] = page(PHOTO)
    get(server, replace(options, contact="mail@photos.example"), "/a")
    (agent,) = server.agents
    assert agent.startswith("retrain-photos/")
    assert agent.endswith("; mail@photos.example)")


def test_a_second_run_asks_nothing_and_brings_back_nothing_that_was_thrown_out(server, options):
    server.pages |= {"/a": page(PHOTO), "/b": page(OTHER), "/c": page(b"x")}
    assert get(server, options, "/a", "/b", "/c").asked == 3
    (name,) = [name for name in kept(options.image_dir) if name.startswith("cat/a-")]
    (options.image_dir / name).unlink()
    asked = dict(server.asked)
    again = get(server, options, "/a", "/b", "/c")
    assert again.asked == 0
    assert again.count_by_status() == {"kept": 2, "refused": 1}
    assert server.asked == asked
    assert len(kept(options.image_dir)) == 1


def test_what_failed_is_asked_again_and_what_was_refused_only_on_demand(server, options):
    server.pages |= {"/busy": page(b"", 503), "/text": page(b"x")}
    assert get(server, options, "/busy", "/text").count_by_status() == {"refused": 1, "failed": 1}
    server.pages |= {"/busy": page(PHOTO), "/text": page(OTHER)}
    assert get(server, options, "/busy", "/text").count_by_status() == {"kept": 1, "refused": 1}
    assert get(server, replace(options, again=True), "/busy", "/text").count_by_status() == {"kept": 2}


# Faults


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (page(b"", 404), "status 404"),
        (page(b"", 403), "status 403"),
        (page(PHOTO, 206), "status 206"),
        (page(b"", 304), "status 304"),
        (page(b"", 301), "status 301"),
        (page(b"<!doctype html>", Content_Type="image/jpeg"), "not an image"),
        (page(b""), "empty"),
        (page(encode(noise(20, 20), "TIFF")), "not an image"),
        (page(PHOTO[:-200]), "damaged"),
        (unmeasured(PHOTO[:-200]), "damaged"),
        (page(PHOTO, Content_Length="300"), "damaged"),
        (page(b"", Content_Length="5000000000"), "too large: 5000000000 bytes"),
        (endless, "too large: over 100000 bytes"),
        (page(encode(noise(101, 100))), "too large: 100 x 101 pixels"),
        (page(b"\x1f\x8b\x08" + bytes(50), Content_Encoding="gzip"), "not an image"),
        (page(b"", 302, Location="ftp://photos.example/"), "sent on to an address that is not asked"),
        (page(b"", 302, Location="http://127.0.0.2/"), "127.0.0.2, which is not a public address"),
        (page(b"", 302, Location="http://169.254.169.254/latest/"), "169.254.169.254, which is not a public"),
        (page(b"", 302, Location="http://2130706433/"), "numeric host"),
        (page(b"", 302, Location="//[::ffff:127.0.0.1]/"), "not a public address"),
        (page(b"", 302, Location="http://user@127.0.0.1/"), "user name"),
        (page(b"", 302, Location="http://[/"), "sent on to"),
    ],
)  # fmt: skip
def test_what_is_refused_is_asked_once_and_leaves_nothing(server, options, answer, reason):
    server.pages["/a"] = answer
    options = replace(options, max_bytes=100_000, max_pixels=10_000)
    status, why = only(get(server, options, "/a"))
    assert status == "refused"
    assert reason in why
    assert server.asked["/a"] == 1
    assert kept(options.image_dir) == {}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (page(b"", 500), "status 500"),
        (page(b"", 520), "status 520"),
        (page(b"", 429), "status 429"),
        (page(PHOTO, Content_Length="5000"), "cut off"),
        (chunked(PHOTO, whole=False), "cut off"),
        (nonsense, "no answer"),
        (lambda handler: None, "no answer"),
    ],
)
def test_what_may_be_otherwise_next_time_is_tried_as_often_as_asked(server, options, answer, reason):
    server.pages["/a"] = answer
    status, why = only(get(server, options, "/a"))
    assert status == "failed"
    assert reason in why
    assert why.endswith("tried 3 times")
    assert server.asked["/a"] == 3
    assert kept(options.image_dir) == {}


@pytest.mark.parametrize(
    "fault", [page(b"", 500), page(b"", 429, Retry_After="0"), page(PHOTO, Content_Length="5000"), nonsense]
)
def test_a_fault_that_passes_costs_a_try(server, options, fault):
    server.pages["/a"] = in_turn(fault, page(PHOTO))
    assert only(get(server, options, "/a")) == ("kept", "")
    assert server.asked["/a"] == 2


@pytest.mark.parametrize("answer", [chunked(PHOTO), unmeasured(PHOTO)])
def test_a_body_without_a_length(server, options, answer):
    server.pages["/a"] = answer
    assert only(get(server, options, "/a")) == ("kept", "")


def ask(server, **limits):
    """One request, without the rules of the site, which a busy machine might not have in time either."""
    policy = Policy(allow_http=True, public=here)
    client = Client(policy, "tests", **limits)
    return client.get(parse_url(f"{server.url}/a", policy), 10_000_000, 0.0)


@pytest.mark.parametrize("answer", [stalled(), stalled(PHOTO)])
def test_a_server_that_goes_silent(server, answer):
    server.pages["/a"] = answer
    with pytest.raises(TryAgainError, match=r"no answer within 0.1 s"):
        ask(server, timeout_s=0.1)


@pytest.mark.parametrize("answer", [dripping, dripping_slowly_to(5000), dripping_headers])
def test_a_server_that_keeps_every_timeout_but_that_of_the_whole(server, answer):
    server.pages["/a"] = answer
    with pytest.raises(TryAgainError, match=r"no whole answer within 0.3 s"):
        ask(server, total_s=0.3)


def test_one_that_is_stopped_begins_nothing(server):
    client = Client(Policy(allow_http=True, public=here), "tests")
    client.stop()
    with pytest.raises(TryAgainError, match="stopped"):
        client.get(parse_url(f"{server.url}/a", client.policy), 10_000_000, 0.0)
    assert server.asked == {}


def test_nobody_listens(options):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    status, why = only(get(None, options, f"http://127.0.0.1:{port}/a"))
    assert status == "failed"
    assert "refused" in why
    assert "object at" not in why


def test_a_name_that_does_not_resolve(options):
    def nothing(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    options = replace(options, policy=replace(options.policy, resolve=nothing))
    status, why = only(get(None, options, "http://photos.example/a"))
    assert status == "failed"
    assert "name or service not known" in why


def test_a_server_that_wants_a_long_rest_is_not_waited_for(server, options):
    server.pages["/a"] = page(b"", 429, Retry_After="86400")
    assert only(get(server, options, "/a")) == ("failed", "status 429; wants 86400 s of rest")
    assert server.asked["/a"] == 1


def test_a_site_that_always_fails_is_left_alone(server, options):
    paths = [f"/{number}" for number in range(20)]
    server.pages |= dict.fromkeys(paths, page(b"", 500))
    outcome = get(server, options, *paths)
    assert outcome.count_by_status() == {"failed": 20}
    assert "9 times in a row" in outcome.rows[-1].reason
    assert sum(server.asked[path] for path in paths) == 9


class FaultyClient:
    """Fails as told."""

    def __init__(self, after_s):
        self.after_s, self.policy = after_s, Policy()

    def get(self, *_):
        raise TryAgainError("status 429", self.after_s)


class NoRules:
    def check(self, address):
        return 0.0


def test_the_pause_grows_and_is_never_shorter_than_the_server_wants():
    def pauses(after_s):
        asker = Asker(FaultyClient(after_s), NoRules(), 1, 1, tries=4, backoff_s=2, max_wait_s=100)
        job = Job(Wanted("u", "cat"), parse_url("https://photos.example/", Policy()))
        found = []
        while not isinstance(job, Finding):
            job, pause_s = asker.ask(job)
            found.append(pause_s)
        return found

    first, second, third, _ = pauses(0)
    assert 1 <= first <= 3
    assert 2 <= second <= 6
    assert 4 <= third <= 12
    assert pauses(50) == [50, 50, 50, 50]


# Sent on


def test_it_is_followed_with_every_step_looked_at(server, options):
    server.pages |= {"/a": sent_to("/b c"), "/b%20c": sent_to(f"{server.url}/c", 308), "/c": page(PHOTO)}
    (row,) = get(server, options, "/a").rows
    assert row.status == "kept"
    assert row.final_url == f"{server.url}/c"
    assert row.path.startswith("cat/a-")


def test_a_circle_is_left(server, options):
    server.pages |= {"/a": sent_to("/b"), "/b": sent_to("/a")}
    assert only(get(server, options, "/a")) == ("refused", "sent on more than 5 times")


def test_robots_of_where_we_are_sent_count_too(server, options):
    server.pages |= {"/a": sent_to("/no/b"), "/no/b": page(PHOTO)}
    server.pages["/robots.txt"] = page(b"User-agent: *\nDisallow: /no/\n")
    status, why = only(get(server, options, "/a"))
    assert status == "refused"
    assert "robots.txt" in why
    assert server.asked["/no/b"] == 0


# robots.txt


def test_it_is_asked_once_a_site_and_kept_to(server, options):
    server.pages |= {"/yes": page(PHOTO), "/no": page(OTHER)}
    server.pages["/robots.txt"] = page(b"User-agent: *\nDisallow: /no\n")
    assert get(server, options, "/yes", "/no").count_by_status() == {"kept": 1, "refused": 1}
    assert server.asked == {"/robots.txt": 1, "/yes": 1}


def test_a_rule_for_us_by_name_counts(server, options):
    server.pages |= {"/a": page(PHOTO), "/robots.txt": page(b"User-agent: retrain-photos\nDisallow: /\n")}
    assert only(get(server, options, "/a"))[0] == "refused"


@pytest.mark.parametrize("answer", [page(b"", 404), page(b"", 410), page(b"\xff\0<html>"), sent_to("/rules")])
def test_a_site_without_rules_allows_everything(server, options, answer):
    server.pages |= {"/a": page(PHOTO), "/robots.txt": answer}
    assert only(get(server, options, "/a"))[0] == "kept"


def test_rules_that_cannot_be_had_are_a_no(server, options):
    server.pages |= {"/a": page(PHOTO), "/robots.txt": page(b"", 503)}
    status, why = only(get(server, options, "/a"))
    assert status == "failed"
    assert "robots.txt" in why
    assert server.asked["/a"] == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sent_to("/robots.txt"), "sent on more than 5 times"),
        (sent_to("http://127.0.0.2/"), "not a public address"),
        (page(b"#" * 600_000), "too large"),
        (page(b"User-agent: *\nCrawl-delay: 86400\n"), "wants 86400 s between requests"),
    ],
)
def test_rules_that_are_a_trap(server, options, answer, reason):
    server.pages |= {"/a": page(PHOTO), "/robots.txt": answer}
    status, why = only(get(server, options, "/a"))
    assert status == "refused"
    assert reason in why
    assert server.asked["/a"] == 0


# Doubles


def test_the_same_picture_is_kept_once(server, options):
    server.pages |= {"/a": page(PHOTO), "/b": page(PHOTO)}
    outcome = get(server, options, "/a", "/b", "/a")
    assert sorted(row.status for row in outcome.rows) == ["duplicate", "kept"]
    assert len({row.path for row in outcome.rows}) == 1
    assert outcome.missing == ()


def test_what_was_there_before_is_no_double_and_another_label_is_a_conflict(server, options):
    (options.image_dir / "dog").mkdir(parents=True)
    (options.image_dir / "dog" / "mine.jpg").write_bytes(PHOTO)
    server.pages |= {"/a": page(PHOTO), "/b": page(PHOTO)}
    assert get(server, options, "/a", label="dog").rows[0].path == "dog/mine.jpg"
    status, why = only(get(server, options, "/b", label="cat"))
    assert status == "conflict"
    assert "dog/mine.jpg" in why
    assert kept(options.image_dir) == {"dog/mine.jpg": PHOTO}


def test_a_file_of_that_name_is_never_replaced(server, options):
    server.pages["/a"] = page(PHOTO)
    target = options.image_dir / "cat" / f"a-{hashlib.sha256(PHOTO).hexdigest()[:12]}.jpg"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    assert "with other contents" in only(get(server, options, "/a"))[1]
    assert target.read_bytes() == b"mine"


# Interrupted


@pytest.mark.parametrize("call", [1, 2, 3])
def test_interrupted_between_picture_and_row_nothing_is_lost_or_doubled(server, options, monkeypatch, call):
    paths = [f"/{number}" for number in range(4)]
    server.pages |= {path: page(encode(noise(20, 20, seed=int(path[1:])))) for path in paths}
    real, calls = fsio.write_bytes, []

    def write(target, data):
        real(target, data)
        calls.append(target)
        if len(calls) == call:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fsio, "write_bytes", write)
        with pytest.raises(KeyboardInterrupt):
            get(server, options, *paths)
    had = len(kept(options.image_dir))  # what had come by then is kept, too; one of them has no row
    assert had >= call
    outcome = get(server, options, *paths)
    assert outcome.count_by_status() == {"kept": 4}
    assert outcome.asked == 5 - had
    assert len(kept(options.image_dir)) == 4


def test_what_has_come_when_it_is_interrupted_is_kept(server, options, monkeypatch):
    server.pages["/a"] = page(PHOTO)

    def interrupted(results):
        while results.empty():
            server.closing.wait(0.01)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "_next", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(server, options, "/a")
    assert get(server, options, "/a").asked == 0


def test_an_interrupt_ends_what_is_under_way(server, options, monkeypatch):
    server.pages["/a"] = stalled(PHOTO)
    monkeypatch.setattr(download, "_next", interrupt_once_asked(server))
    with pytest.raises(KeyboardInterrupt):
        get(server, replace(options, timeout_s=600, total_s=600), "/a")
    assert fetching_threads() == []


def interrupt_once_asked(server):
    def waiting(results):
        while not server.asked["/a"]:
            server.closing.wait(0.01)
        raise KeyboardInterrupt

    return waiting


def fetching_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fetch-")]


def test_a_fault_of_our_own_is_raised_and_not_swallowed(server, options, monkeypatch):
    server.pages["/a"] = page(PHOTO)
    monkeypatch.setattr(Asker, "ask", lambda self, job: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        get(server, options, "/a")
    assert fetching_threads() == []


def test_two_at_once_are_kept_apart(server, options, monkeypatch):
    monkeypatch.setattr(download, "_LOCK_WAIT_S", 0)
    with fsio.locked(options.image_dir / ".fetching"), pytest.raises(RetrainError, match="another process"):
        get(server, options, "/a")


# Before anything is asked


def test_all_problems_are_found_before_the_disk_is_touched(options, tmp_path):
    (tmp_path / "photos").write_text("a file")
    wanted = [Wanted("https://a/1", ".."), Wanted("https://a/1", "dog")]
    with pytest.raises(UsageError) as refused:
        fetch_all(wanted, replace(options, contact="a\nb"), Console(quiet=True))
    assert len(refused.value.problems) == 4


@pytest.mark.parametrize("place", ["s3://bucket/photos", "unreadable"])
def test_a_folder_that_cannot_be_used(options, tmp_path, monkeypatch, place):
    def denied(self):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "unreadable").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download.Path, "iterdir", denied)
    with pytest.raises(UsageError, match=place):
        fetch_all([], replace(options, image_dir=place), Console(quiet=True))


def test_what_was_never_asked_comes_before_what_failed(server, options, monkeypatch):
    server.pages["/busy"] = page(b"", 500)
    get(server, replace(options, tries=1), "/busy")
    asked = []
    monkeypatch.setattr(download, "_fetch", lambda todo, *_: asked.extend(todo) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        get(server, options, "/busy", "/new")
    assert [one.url.rsplit("/", 1)[1] for one in asked] == ["new", "busy"]


def test_without_the_library_the_command_that_mends_it_is_said(options, monkeypatch):
    for missing, words in (
        ({"urllib3"}, "urllib3, which is"),
        ({"urllib3", "protego"}, "urllib3 and protego, which are"),
    ):
        monkeypatch.setattr(client_module.importlib.util, "find_spec", lambda name: None if name in missing else name)  # noqa: B023
        with pytest.raises(UsageError, match=rf"needs {words} not installed: .*pip install 'retrain-photos\[fetch\]'"):
            fetch_all([], options, Console(quiet=True))


def test_bad_addresses_are_rows_and_nothing_is_asked(options):
    outcome = get(None, options, "https://127.0.0.2/", "ftp://x/", "nonsense://")
    assert outcome.count_by_status() == {"refused": 3}


# TLS: a certificate of photos.example that only these tests trust.
AUTHORITY = trustme.CA()


@pytest.fixture
def secure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("photos.example").configure_cert(context)
    with serving(context) as running:
        running.pages["/a"] = page(PHOTO)
        yield running


def trusting():
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def pinned(options, **more):
    """Every name is this machine, and was asked for once."""
    return replace(options, policy=Policy(resolve=lambda host, port: ["127.0.0.1"], public=here), **more)


def test_the_connection_goes_to_the_address_and_the_certificate_is_of_the_name(secure, options):
    url = f"https://photos.example:{secure.server_port}/a"
    assert only(get(None, pinned(options, context=trusting()), url)) == ("kept", "")


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_a_certificate_of_another_name_is_refused(secure, options, host):
    url = f"https://{host}:{secure.server_port}/a"
    status, why = only(get(None, pinned(options, context=trusting()), url))
    assert status == "refused"
    assert "certificate" in why
    assert secure.asked["/a"] == 0


def test_a_certificate_that_nobody_vouches_for_is_refused(secure, options):
    status, why = only(get(None, pinned(options), f"https://photos.example:{secure.server_port}/a"))
    assert status == "refused"
    assert "certificate" in why


def test_sent_on_from_https_to_http_is_refused(secure, server, options):
    secure.pages["/a"] = sent_to(f"{server.url}/a")
    both = replace(pinned(options, context=trusting()), policy=replace(pinned(options).policy, allow_http=True))
    status, why = only(get(None, both, f"https://photos.example:{secure.server_port}/a"))
    assert (status, why) == ("refused", "sent on from https:// to http://")


def test_a_name_that_answers_otherwise_the_second_time_changes_nothing(secure, options):
    answers = [["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"]]  # robots.txt, the picture, what a second look would give
    policy = Policy(resolve=lambda host, port: answers.pop(0), public=here)
    options = replace(options, policy=policy, context=trusting())
    assert only(get(None, options, f"https://photos.example:{secure.server_port}/a"))[0] == "kept"
    assert answers == [["127.0.0.2"]]
