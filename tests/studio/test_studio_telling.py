"""How often a page is told: not more often than an eye follows, and always what came last."""

import json
import threading

import pytest
from studio_pages import chromium, lay, studio, watched
from studio_runs import PATIENCE_S

from retrain.studio.telling import Pace, PacedConsole


def test_what_is_asked_for_often_is_done_once_and_then_once_more():
    done = []
    pace = Pace(lambda: done.append(len(done)), every_s=3600)
    for _ in range(1000):
        pace.ask()
    assert done == [0]
    pace.now()  # in place of what waits
    assert done == [0, 1]
    assert pace._waiting is None


def test_what_was_asked_for_last_is_done_by_itself():
    seen, value, enough = [], [0], threading.Event()

    def do():
        seen.append(value[0])
        if value[0] == 99:
            enough.set()

    pace = Pace(do, every_s=0.01)
    for value[0] in range(100):
        pace.ask()
    assert enough.wait(PATIENCE_S)
    assert seen == sorted(seen)


@pytest.mark.parametrize(("ends", "expected"), [(True, [0, 3]), (False, [])])
def test_a_stage_that_is_over_in_a_moment(ends, expected):
    told = []
    with PacedConsole(lambda **facts: told.append(facts), ends=ends).stage("Reading", 3, "files") as advance:
        for _ in range(3):
            advance()
    assert [facts["done"] for facts in told] == expected
    assert json.dumps(told)


def test_a_page_stays_awake_while_a_run_says_ten_thousand_lines(tmp_path):
    lay(tmp_path, each=6)
    with chromium() as browser, studio(tmp_path) as address, watched(browser, address) as view:
        page = view.go("/train")
        page.fill("#steps", "300000")
        page.click("#start")
        page.wait_for_function("() => document.getElementById('log').textContent.includes('Step 2')")
        frames = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        assert page.evaluate(frames)
        page.click("#cancel")
        page.wait_for_function("() => document.getElementById('stage').textContent.startsWith('Cancelled')")
        page.wait_for_function("() => document.getElementById('log').textContent.split('\\n').length >= 100")
