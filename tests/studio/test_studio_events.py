import asyncio
import json
import threading

import pytest

from retrain.studio import events as room
from retrain.studio.events import Events


def told(text):
    """Kind and facts of an event."""
    lines = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
    return lines.get("event"), json.loads(lines.get("data", "{}"))


async def listening(events):
    """A listener that has been heard."""
    stream = events.stream()
    assert told(await anext(stream))[0] == "hello"
    return stream


def test_every_page_hears_what_is_told_from_any_thread():
    async def story():
        events = Events()
        pages = [await listening(events) for _ in range(20)]
        assert events.count == 20
        threads = [
            threading.Thread(target=lambda n=n: [events.tell("far", thread=n, step=i) for i in range(10)])
            for n in range(4)
        ]
        for one in threads:
            one.start()
        heard = [[told(await anext(page)) for _ in range(40)] for page in pages]
        for one in threads:
            one.join()
        for texts in heard:
            for thread in range(4):
                steps = [facts["step"] for kind, facts in texts if kind == "far" and facts["thread"] == thread]
                assert steps == list(range(10))
        for page in pages:
            await page.aclose()
        assert events.count == 0

    asyncio.run(story())


def test_a_page_that_does_not_read_costs_no_more_and_is_told_that_it_missed_some():
    async def story():
        events = Events()
        slow, quick = await listening(events), await listening(events)
        for step in range(3 * room._BEHIND):
            events.tell("far", step=step)
            assert told(await anext(quick)) == ("far", {"step": step})
        [queue] = [queue for queue in events._listeners if not queue.empty()]
        assert queue.qsize() <= room._BEHIND
        heard = [told(await anext(slow)) for _ in range(queue.qsize())]
        assert heard[0][0] == "missed"
        assert heard[-1] == ("far", {"step": 3 * room._BEHIND - 1})
        steps = [facts["step"] for kind, facts in heard if kind == "far"]
        assert steps == sorted(steps)
        await slow.aclose()
        await quick.aclose()

    asyncio.run(story())


def test_the_first_event_says_how_much_was_told_before():
    async def story():
        events = Events()
        events.tell("folder", revision=1)
        assert events.so_far == 1
        page = events.stream()
        assert told(await anext(page)) == ("hello", {"told": 1})
        events.tell("fitted", revision=1)
        assert told(await anext(page)) == ("fitted", {"revision": 1})
        assert events.so_far == 2
        await page.aclose()

    asyncio.run(story())


def test_a_quiet_line_is_kept_alive(monkeypatch):
    monkeypatch.setattr(room, "HEARTBEAT_S", 0.01)

    async def story():
        events = Events()
        page = await listening(events)
        assert (await anext(page)).startswith(":")
        events.tell("folder", revision=3)
        said = await anext(page)
        while said.startswith(":"):
            said = await anext(page)
        assert told(said) == ("folder", {"revision": 3})
        await page.aclose()

    asyncio.run(story())


def test_a_line_that_breaks_is_forgotten():
    async def story():
        events = Events()

        async def read():
            async for _ in events.stream():
                pass

        task = asyncio.create_task(read())
        while not events.count:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert events.count == 0
        events.tell("nobody", hears="it")

    asyncio.run(story())


def test_a_listener_whose_loop_is_closed_disturbs_nobody():
    events = Events()
    loop = asyncio.new_event_loop()
    stream = events.stream()
    loop.run_until_complete(anext(stream))
    events.tell("heard")
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    late = Events()
    late._listeners = {asyncio.Queue(): loop}
    loop.run_until_complete(stream.aclose())
    loop.close()
    late.tell("unheard")
    assert events.count == 0


def test_what_is_no_number_is_null_and_nothing_breaks_the_frame():
    async def story():
        events = Events()
        page = await listening(events)
        events.tell("step", loss=float("nan"), rate=float("inf"), name="a\n\nevent: evil\ndata: {}", odd="\udcff\u2028")
        text = await anext(page)
        assert text.count("\n") == 4
        kind, facts = told(text)
        assert kind == "step"
        assert facts["loss"] is None
        assert facts["rate"] is None
        assert facts["name"] == "a\n\nevent: evil\ndata: {}"
        await page.aclose()

    asyncio.run(story())
