"""Who is let in: every address of the studio, asked with wrong hosts, from other sites, without the token."""

from __future__ import annotations

import re

import pytest
from studio_rooms import TOKEN, app_of, client_of, routes_of, untrained

from retrain.studio.guard import cookie_name

OTHER_SITES = [
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://127.0.0.1.evil.example"},
    {"origin": "http://127.0.0.1@evil.example"},
    {"origin": "http://user@127.0.0.1"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "file://"},
    {"origin": "http://[::1"},
    {"origin": "http://localhost"},  # another origin than 127.0.0.1
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "nonsense"},
    {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},  # a form that is sent
]
WRONG_HOSTS = [
    "evil.example", "127.0.0.1.evil.example", "evil.example:80", "127.0.0.1@evil.example", "evil.example#127.0.0.1",
    "user@127.0.0.1", "127.0.0.1/x", "127.0.0.1?x", "127.0.0.1#", "127.0.0.1:port", "127.0.0.1:123456", "[::1", "::1",
    "0.0.0.0",  # noqa: S104
    "[::1]x", "[::2]", "127.0.0.2", "127.1", "2130706433", "localhost.", "localhost\xa0", "", " ", "127.0.0.1, evil.example",
]  # fmt: skip
KNOWN_HOSTS = ["127.0.0.1", "127.0.0.1:8700", "localhost", "LocalHost:1", "[::1]", "[::1]:8700"]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return app_of(untrained(tmp_path_factory.mktemp("guard")))


@pytest.fixture(scope="module")
def client(app):
    with client_of(app) as found:
        yield found


@pytest.fixture
def locked(tmp_path):
    with client_of(app_of(untrained(tmp_path), TOKEN)) as found:
        yield found


def changing(app):
    return [(method, path) for method, path in routes_of(app) if method not in ("GET", "OPTIONS")]


def test_every_address_that_changes_something_refuses_other_sites(app, client):
    assert len(changing(app)) >= 18
    for method, path in changing(app):
        for headers in OTHER_SITES:
            found = client.request(method, path, headers=headers)
            assert found.status_code == 403, (method, path, headers)
            assert "other sites" in found.json()["error"]


def test_no_address_is_read_from_within_another_site(app, client):
    for method, path in routes_of(app):
        for site in ("cross-site", "same-site"):
            for mode in ("no-cors", "cors", "websocket", ""):
                found = client.request(method, path, headers={"sec-fetch-site": site, "sec-fetch-mode": mode})
                assert found.status_code == 403, (method, path, site, mode)


def test_a_link_may_lead_to_a_page_but_no_frame_shows_it(client):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    for dest in ("iframe", "frame", "embed", "object"):
        assert client.get("/", headers={**link, "sec-fetch-dest": dest}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_its_own_page_and_scripts_are_let_in(client, headers):
    assert client.post("/studio/rescan", headers=headers).status_code == 200


def test_the_origin_must_name_the_port_that_was_asked(client):
    own = {"host": "127.0.0.1:8700"}
    assert client.post("/studio/rescan", headers={**own, "origin": "http://127.0.0.1:8700"}).status_code == 200
    assert client.post("/studio/rescan", headers={**own, "origin": "http://127.0.0.1:8701"}).status_code == 403
    assert client.post("/studio/rescan", headers={**own, "origin": "http://127.0.0.1"}).status_code == 403


@pytest.mark.parametrize("host", WRONG_HOSTS)
def test_an_unknown_host_gets_nothing_of_any_address(app, client, host):
    for method, path in routes_of(app):
        assert client.request(method, path, headers={"host": host.encode("latin-1")}).status_code == 421, (method, path)


@pytest.mark.parametrize("host", KNOWN_HOSTS)
def test_known_hosts_are_let_in_whatever_the_port_and_case(client, host):
    assert client.get("/api/health", headers={"host": host}).status_code == 200


def test_no_host_or_several_are_refused(client):
    both = [(b"host", b"127.0.0.1"), (b"host", b"127.0.0.1")]
    assert client.get("/", headers=both).status_code == 421


def test_every_answer_carries_the_policy_also_refusals(app, client):
    asked = [client.request(method, path, headers=headers)
             for method, path in [*routes_of(app), ("GET", "/none"), ("PUT", "/"), ("OPTIONS", "/train")]
             for headers in ({}, {"host": "evil.example"}) if path != "/studio/events" or headers]  # fmt: skip
    assert {one.status_code for one in asked} >= {200, 400, 404, 405, 415, 421}
    for one in asked:
        policy = one.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "no-referrer"
        assert "server" not in one.headers
        assert one.status_code < 500


def test_no_page_has_a_script_or_style_in_it(client):
    for path in ("/", "/train", "/review", "/try", "/use"):
        html = client.get(path).text
        assert "<script>" not in html
        assert "<style" not in html
        assert " style=" not in html
        assert " onclick" not in html
        assert "javascript:" not in html
        assert not re.search(r"""(src|href|action)=["']?(\w+:)?//""", html)


def test_nothing_is_answered_without_the_token(locked, tmp_path):
    for method, path in routes_of(app_of(untrained(tmp_path / "another"), TOKEN)):
        found = locked.request(method, path)
        assert found.status_code == 401, (method, path)
        assert TOKEN not in found.text


@pytest.mark.parametrize("given", ["Bearer ", "bearer ", "BEARER "])
def test_a_script_brings_the_token_in_a_header(locked, given):
    assert locked.get("/api/health", headers={"authorization": given + TOKEN}).status_code == 200


@pytest.mark.parametrize(
    "given",
    [TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer \xff", f"Bearer{TOKEN}"],
)
def test_anything_else_in_that_header_is_refused(locked, given):
    headers = {"authorization": given.encode("latin-1")}
    assert locked.get("/api/health", headers=headers).status_code == 401


def test_the_address_with_the_token_leads_to_one_without(locked):
    first = locked.get(f"/review?token={TOKEN}")
    assert first.status_code == 303
    assert first.headers["location"] == "/review"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    again = {"cookie": cookie.split(";")[0]}
    assert locked.get("/review", headers=again).status_code == 200
    assert locked.get("/review").status_code == 401


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example", "/\\evil.example", "//evil.example/%2e%2e"])
def test_the_token_never_leads_to_another_machine(locked, path):
    found = locked.get(f"{path}?token={TOKEN}")
    assert found.status_code == 303
    assert found.headers["location"].startswith("/")
    assert not found.headers["location"].startswith(("//", "/\\"))


def test_a_token_in_the_address_is_good_for_pages_only(locked):
    assert locked.post(f"/studio/rescan?token={TOKEN}").status_code == 401
    assert locked.get("/?token=").status_code == 401
    assert locked.get(f"/?token={TOKEN}&token=x").status_code == 303


def test_wrong_tokens_are_counted_however_they_come(locked):
    wrong = [
        lambda: locked.get("/?token=wrong"),
        lambda: locked.get("/", headers={"authorization": "Bearer wrong"}),
        lambda: locked.get("/", headers={"cookie": f"{cookie_name(TOKEN)}=wrong"}),
    ]
    assert [wrong[number % 3]().status_code for number in range(10)] == [401] * 10
    refused = locked.get("/", headers={"authorization": f"Bearer {TOKEN}"})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"


def test_a_cookie_of_another_studio_is_no_wrong_token(locked):
    for _ in range(30):
        assert locked.get("/", headers={"cookie": f'{cookie_name("of yesterday")}=x; broken="; ;;'}).status_code == 401
    assert locked.get("/", headers={"cookie": f"a=b; {cookie_name(TOKEN)}={TOKEN}"}).status_code == 200


def test_who_guesses_locks_nobody_else_out(tmp_path):
    app = app_of(untrained(tmp_path), TOKEN)
    with client_of(app, "10.0.0.1") as one:
        for _ in range(12):
            last = one.get("/", headers={"authorization": "Bearer wrong"})
    assert last.status_code == 429
    with client_of(app, "10.0.0.2") as other:
        assert other.get("/api/health", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("length", "status"),
    [("401000001", 413), ("9" * 30, 413), ("-1", 400), ("1e3", 400), ("²".encode("latin-1"), 400), ("", 400)],
)
def test_announced_lengths_are_looked_at(client, length, status):
    headers = {"content-length": length, "content-type": "image/png"}
    assert client.post("/api/classify", content=b"", headers=headers).status_code == status


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity", "x" * 300])
def test_packed_bodies_are_refused(client, coding):
    found = client.post(
        "/api/classify", content=b"x", headers={"content-type": "image/png", "content-encoding": coding}
    )
    assert found.status_code == 415


def test_a_chunked_body_is_counted(tmp_path):
    app = app_of(untrained(tmp_path), max_body_bytes=1000)
    with client_of(app) as client:
        pieces = (b"x" * 100 for _ in range(11))
        found = client.post("/api/classify", content=pieces, headers={"content-type": "image/png"})
        assert found.status_code == 413
        assert app._held.bytes == 0


def test_all_bodies_together_are_counted_and_given_back(tmp_path):
    app = app_of(untrained(tmp_path), max_held_bytes=1000)
    with client_of(app) as client:
        headers = {"content-type": "image/png"}
        found = client.post("/api/classify", content=b"x" * 1001, headers=headers)
        assert found.status_code == 503
        assert found.headers["retry-after"] == "1"
        assert app._held.bytes == 0
        assert client.post("/api/classify", content=b"x" * 999, headers=headers).status_code == 409
        assert app._held.bytes == 0
