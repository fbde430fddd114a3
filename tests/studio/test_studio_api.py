"""What scripts use: queue, time limits, refusals, and that what the terminal says stays in the terminal."""

from __future__ import annotations

import asyncio
import threading

import pytest
from studio_fuzz import picture
from studio_rooms import app_of, client_of, trained

from retrain.errors import ImageError
from retrain.studio import api
from retrain.studio.models import Models
from retrain.studio.queueing import Busy, Late, Turns

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return app_of(trained(tmp_path_factory.mktemp("api")))


@pytest.fixture(scope="module")
def client(app):
    with client_of(app) as found:
        yield found


@pytest.fixture
def fresh(tmp_path):
    with client_of(app_of(trained(tmp_path))) as found:
        yield found


def form(count, data=b"x"):
    one = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + data + b"\r\n"
    return {"content": one * count + b"--b--\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}


def test_two_are_served_sixteen_wait_and_the_next_is_told_to_come_again(fresh, monkeypatch):
    gate, entered, judge = threading.Event(), threading.Semaphore(0), Models.judge

    def held(self, data):
        entered.release()
        assert gate.wait(30)
        return judge(self, data)

    monkeypatch.setattr(Models, "judge", held)

    async def ask_many():
        waiting = [asyncio.create_task(fresh.ask("POST", "/api/classify", PNG, picture())) for _ in range(18)]
        await asyncio.sleep(0)
        while not (entered.acquire(blocking=False)):
            await asyncio.sleep(0.01)
        for _ in range(200):  # all 18 have taken their places
            await asyncio.sleep(0.001)
        refused = await fresh.ask("POST", "/api/classify", PNG, picture())
        still = await fresh.ask("GET", "/api/health")
        gate.set()
        return refused, still, await asyncio.gather(*waiting)

    refused, still, served = fresh.run(ask_many())
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert still.status_code == 200
    assert [one.status_code for one in served] == [200] * 18
    assert fresh.post("/api/classify", content=picture(), headers=PNG).status_code == 200


def test_turns_serve_as_many_at_once_as_they_may():
    async def main():
        turns, running, most = Turns(2, 16), [0], [0]
        lock = threading.Lock()

        def work():
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            threading.Event().wait(0.02)
            with lock:
                running[0] -= 1

        results = await asyncio.gather(*(turns.run(work) for _ in range(30)), return_exceptions=True)
        turns.close()
        return most[0], results

    most, results = asyncio.run(main())
    assert most == 2
    assert sum(isinstance(one, Busy) for one in results) == 12
    assert sum(one is None for one in results) == 18


def test_what_takes_too_long_gives_its_place_back_when_it_is_done():
    async def main():
        turns, gate = Turns(1, 0, timeout_s=0.05), threading.Event()
        with pytest.raises(Late):
            await turns.run(lambda: gate.wait(10))
        with pytest.raises(Busy):
            await turns.run(int)
        gate.set()
        for _ in range(1000):
            try:
                found = await turns.run(lambda: 7)
                break
            except Busy:
                await asyncio.sleep(0.005)
        turns.close()
        with pytest.raises(Busy, match="being closed"):
            await turns.run(int)
        return found

    assert asyncio.run(main()) == 7


def test_a_form_of_slow_photographs_is_given_up_as_a_whole(fresh, monkeypatch):
    monkeypatch.setattr(api, "TOTAL_S", 0.1)
    gate = threading.Event()
    monkeypatch.setattr(Models, "judge", lambda self, data: gate.wait(10))
    answer = fresh.post("/api/classify", **form(3))
    gate.set()
    assert answer.status_code == 503
    assert "fewer photographs" in answer.json()["error"]
    assert answer.headers["retry-after"] == "1"


def test_a_form_of_twenty_is_served_and_one_of_more_is_not(client):
    answer = client.post("/api/classify", **form(20, picture()))
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 20
    assert client.post("/api/classify", **form(21, picture())).status_code == 413


def test_one_and_the_same_photograph_gets_the_same_answer_both_ways(client):
    data = picture()
    one = client.post("/api/classify", content=data, headers=PNG).json()
    [several] = client.post("/api/v1/classify", **form(1, data)).json()["results"]
    assert several.pop("name") == "a.png"
    assert one.pop("version") == "1.0"
    assert several["label"] == one["label"]
    assert [each["label"] for each in several["scores"]] == [each["label"] for each in one["scores"]]
    assert [each["score"] for each in several["scores"]] == pytest.approx([each["score"] for each in one["scores"]])


@pytest.mark.parametrize("top_k", ["0", "-1", "1.5", "x", "²", "1" * 7, " 1", "1e1", "+1"])
def test_a_number_of_labels_that_is_none_is_refused(client, top_k):
    answer = client.post(f"/api/classify?top_k={top_k}", content=picture(), headers=PNG)
    assert answer.status_code == 400
    assert "expected top_k" in answer.json()["error"]


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        ("image/png", b"", 400),
        ("image/png", b"no image", 415),
        ("image/png", picture()[:70], 415),
        ("text/plain", picture(), 415),
        ("", picture(), 415),
        ("image", picture(), 415),
        ("application/octet-streams", picture(), 415),
        ("application/json", b"{}", 415),
        ("image/anything", picture(), 200),
        ("Application/Octet-Stream; x=y", picture(), 200),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 400),
        ("multipart/form-data; boundary=b", form(1)["content"][:-8], 400),
        ("multipart/form-data; boundary=" + "b" * 300, b"", 400),
    ],
)
def test_bodies_are_refused_by_what_they_are(client, kind, data, status):
    answer = client.post("/api/classify", content=data, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/classify"), ("POST", "/api/model"), ("DELETE", "/api/health")]
)
def test_another_method_is_refused_with_the_right_one_named(client, method, path):
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert "allow" in answer.headers
    assert answer.json()["error"]


def test_what_there_is_none_of_is_answered_in_json(client):
    answer = client.get("/api/v2/classify")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}


def test_a_flaw_of_the_studio_is_told_in_the_terminal_only(fresh, monkeypatch, capsys):
    def flawed(self, data):
        raise ZeroDivisionError("a secret of the machine")

    monkeypatch.setattr(Models, "judge", flawed)
    answer = fresh.post("/api/classify", content=picture(), headers=PNG)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "a secret of the machine" in capsys.readouterr().err


def test_a_photograph_that_is_refused_says_why(fresh, monkeypatch):
    def refused(self, data):
        raise ImageError("truncated", "it ends in the middle")

    monkeypatch.setattr(Models, "judge", refused)
    answer = fresh.post("/api/classify", content=picture(), headers=PNG)
    assert answer.status_code == 415
    assert answer.json()["error"] == "truncated: it ends in the middle"


def test_who_goes_away_in_the_middle_is_no_flaw(client, capsys):
    from starlette.requests import ClientDisconnect

    from retrain.studio.answers import refusal

    assert refusal(ClientDisconnect()).status_code == 400
    assert capsys.readouterr().err == ""
