r"""The studio as a person and as a script meet it: how soon numbers follow a correction, the API, pages, memory.

    python bench/studio.py --photographs flower_photos --work /tmp/studio
    python bench/studio.py --work /tmp/studio --only pages --sizes 10000

--photographs is a folder of class folders with JPEGs. The first --number of them are laid out in --work, in 500 x 375
as the goal of the API has it, and trained on once; a --work that has been laid out is used again. Then:

    loop    --corrections doubts are answered with the key Y in Chromium: from the key until the new numbers are painted
    api     POST /api/classify from another process (bench/studio_ask.py, which costs next to nothing) over loopback
            with kept connections: two in flight; four for the rate; and two while a head is fitted and cross-validated
    pages   folders of --sizes photographs (links): from the command until the page answers, from the navigation until
            photographs are painted, frames a second while it is scrolled, at a steady pace and from end to end
    memory  of the server: idle, and after --many requests

Chromium is headless and paints without a graphics card; it, the client and the server share the machine. What else runs
meanwhile is in the load average.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import studio_serve
from common import Row, median, print_table, python_module, run_child, save, say, span
from PIL import Image
from studio_serve import Studio, studio

EDGES = (500, 375)
PARTS = ("loop", "api", "pages", "memory")
# CSS pixels a second: a wheel turned fast.
STEADY = 3000.0
_PICTURES = 16
_WARM = 100


def main() -> int:
    """Measure, print the table, write the results."""
    arguments = _parse()
    if not (arguments.work / "tf_files").is_dir():
        lay_out(arguments.photographs, arguments.number, arguments.work)
    rows: list[Row] = []
    facts: dict[str, Any] = {"load_before": os.getloadavg(), "photographs": _count(arguments.work / "photos")}
    for part in arguments.only:
        say(f"{part}; load average {os.getloadavg()[0]:.1f}")
        more, facts[part] = _MEASURES[part](arguments)
        rows += more
    print_table(("figure", "goal", "measured"), [(row.figure, row.goal, row.measured) for row in rows])
    save("studio", facts)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--photographs", metavar="DIR", type=Path, help="class folders of JPEGs; needed for a new --work")
    add("--work", metavar="DIR", type=Path, required=True, help="what is laid out; kept, and used again")
    add("--number", type=int, default=3670, help="photographs to train on (default: 3670)")
    add("--only", type=_parts, default=PARTS, metavar="PARTS", help=f"some of {','.join(PARTS)} (default: all)")
    add("--corrections", type=int, default=10, help="default: 10")
    add("--requests", type=int, default=2000, help="timed, of the API (default: 2000)")
    add("--many", type=int, default=10_000, help="requests between two looks at the memory (default: 10000)")
    add("--sizes", type=_sizes, default=(10_000, 100_000), metavar="N,N", help="of pages (default: 10000,100000)")
    add("--seconds", type=float, default=6.0, help="of scrolling, and of each rate (default: 6)")
    add("--rounds", type=int, default=3, help="of what is measured of pages (default: 3)")
    arguments = parser.parse_args()
    is_laid_out = (arguments.work / "tf_files").is_dir()
    if not is_laid_out and (arguments.photographs is None or not any(arguments.photographs.rglob("*.jpg"))):
        parser.error(f"{arguments.work} is not laid out yet: expected --photographs, a folder with JPEGs below it")
    if min(arguments.corrections, arguments.requests, arguments.many, arguments.rounds, *arguments.sizes) < 1:
        parser.error("expected --corrections, --requests, --many, --rounds and --sizes from 1")
    return arguments


def _parts(text: str) -> tuple[str, ...]:
    strange = sorted(set(text.split(",")) - set(PARTS))
    if strange:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(PARTS)}, got {','.join(strange)}")
    return tuple(text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def lay_out(source: Path, number: int, work: Path) -> None:
    """Make photographs of one size in class folders, and train on them; what is laid out has a folder tf_files."""
    classes = sorted({path.parent for path in source.rglob("*.jpg")})
    most = -(-number // len(classes))
    for folder in classes:
        place = work / "photos" / folder.name
        place.mkdir(parents=True, exist_ok=True)
        for index, path in enumerate(sorted(folder.glob("*.jpg"))[:most]):
            with Image.open(path) as picture:
                picture.convert("RGB").resize(EDGES).save(place / f"{index:06}.jpg", quality=90)
    say(f"training on {_count(work / 'photos')} photographs")
    making = work / "making"
    flags = {"image_dir": work / "photos", "output_graph": making / "retrained_graph.pb",
             "output_labels": making / "retrained_labels.txt", "model_dir": work / "models",
             "bottleneck_dir": work / "bottlenecks", "summaries_dir": work / "summaries"}  # fmt: skip
    run_child(python_module("retrain", "--offline", *(f"--{name}={value}" for name, value in flags.items())))
    making.rename(work / "tf_files")


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.jpg"))


def _run(work: Path) -> tuple[Path, str, Path]:
    """Name the words that open the studio over the run."""
    return Path(work.resolve()), "--graph", Path(work.resolve()) / "tf_files" / "retrained_graph.pb"


def measure_loop(arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Correct labels in a browser; afterwards all lies where it lay."""
    from studio_watch import corrections

    with studio(*_run(arguments.work)) as server:
        first_s = server.until_examined()
        found = corrections(server, arguments.corrections)
        undo_all(server)
        server.until_examined()
    fitted, examined = ([one[name] / 1000 for one in found] for name in ("fitted", "examined"))
    number = _count(arguments.work / "photos")
    rows = [
        Row(f"label corrected -> new numbers painted, {number} photographs", "<= 1 s median", span(fitted, "s")),
        Row("label corrected -> cross-validated numbers painted", "", span(examined, "s")),
    ]
    return rows, {"fitted_s": fitted, "examined_s": examined, "examined_after_start_s": first_s}


def undo_all(server: Studio) -> None:
    """Take back every change."""
    while server.get("state")["undo"]:
        server.post("undo", {})


def measure_api(arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Have photographs named over HTTP."""
    pictures = _pictures(arguments.work)
    with studio(*_run(arguments.work)) as server:
        server.until_examined()
        studio_serve.classify(server.port, pictures, 2, requests=_WARM)
        quiet = studio_serve.classify(server.port, pictures, 2, requests=arguments.requests)
        before = server.cpu_s()
        fast = studio_serve.classify(server.port, pictures, 4, seconds=arguments.seconds)
        cpu_ms = 1000 * (server.cpu_s() - before) / len(fast["ms"])
        busy = while_refitting(server, pictures, arguments)
        undo_all(server)
        server.until_examined()
    rate, client = len(fast["ms"]) / fast["wall_s"], fast["cpu_s"] / fast["wall_s"]
    said = f"{rate:.0f} images/s (client: {100 * client:.0f} % of a core)"
    refitted = f"2 in flight while {busy['refits']} corrections are worked in, p50 / p99"
    rows = [
        Row("POST /api/classify, 500x375, 2 in flight, p50 / p99", "<= 15 / 60 ms", p50_p99(quiet["ms"])),
        Row("the same, 4 in flight, rate", ">= 150 images/s", said),
        Row("processor time of the server a photograph", "", f"{cpu_ms:.1f} ms"),
        Row(refitted, "", p50_p99(busy["ms"])),
    ]
    return rows, {"ms": quiet["ms"], "rate": rate, "client_cores": client, "server_cpu_ms": cpu_ms, "refitting": busy}


def while_refitting(server: Studio, pictures: Sequence[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Have photographs named while one correction follows the other."""
    sent = {path.relative_to(arguments.work / "photos").as_posix() for path in pictures}
    listed = server.get("photographs?start=0&count=200")["items"]
    one = next(item for item in listed if item["path"] not in sent)
    to = next(other["folder"] for other in server.get("state")["classes"] if other["folder"] != one["truth"])
    is_over = threading.Event()

    def correct() -> int:
        steps = cycle((("move", {"paths": [one["path"]], "to": to}), ("undo", {})))
        for number, (path, facts) in enumerate(steps):
            if is_over.is_set():
                return number
            server.post(path, facts)
            server.until_examined()
        raise AssertionError("a cycle has no end")

    with ThreadPoolExecutor(1) as pool:
        correcting = pool.submit(correct)
        try:
            found = studio_serve.classify(server.port, pictures, 2, seconds=2 * arguments.seconds)
        finally:
            is_over.set()
        return {"ms": found["ms"], "refits": correcting.result()}


def measure_memory(arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Look at the server's memory before and after many requests."""
    pictures = _pictures(arguments.work)
    with studio(*_run(arguments.work)) as server:
        server.until_examined()
        idle = server.mb()
        studio_serve.classify(server.port, pictures, 4, requests=_WARM)
        warm = server.mb()
        studio_serve.classify(server.port, pictures, 4, requests=arguments.many)
        after = server.mb()
    rows = [
        Row("memory of the server, idle over a run", "", f"{idle:.0f} MB"),
        Row(f"after {_WARM} requests; after {arguments.many} more", "", f"{warm:.0f} MB; {after:.0f} MB"),
    ]
    return rows, {"idle_mb": idle, "warm_mb": warm, "after_mb": after}


def measure_pages(arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Open and scroll the first page over large folders."""
    rows, facts = [], {}
    for size in arguments.sizes:
        more, facts[str(size)] = _measure_page(many_links(arguments.work, size), size, arguments)
        rows += more
    return rows, facts


def _measure_page(place: Path, size: int, arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    from studio_watch import first_tiles, scroll

    starts, tiles, steady, whole = [], [], [], []
    for turn in range(arguments.rounds):
        say(f"round {turn + 1} of {arguments.rounds}: a page of {size} photographs")
        with studio(place, "--image_dir", "photos") as server:
            starts.append(server.start_s)
            tiles.append(first_tiles(server))
            steady.append(scroll(server, arguments.seconds, STEADY))
            whole.append(scroll(server, arguments.seconds, 0))
            mb = server.mb()
    goal = "<= 1 s" if size <= 10_000 else ""
    rows = [
        Row(f"{size} photographs: command -> page answers", "", span(starts, "s")),
        Row("navigation -> first photograph painted", goal, span([one["first"] / 1000 for one in tiles], "s")),
        Row("navigation -> all in view painted", "", span([one["all"] / 1000 for one in tiles], "s")),
        *_scroll_rows(f"scrolled at {STEADY:.0f} px/s", steady),
        *_scroll_rows("scrolled from end to end", whole),
        Row("memory of the server after it", "", f"{mb:.0f} MB"),
    ]
    return rows, {"start_s": starts, "tiles": tiles, "steady": steady, "whole": whole, "mb": mb}


def _scroll_rows(how: str, found: Sequence[dict[str, Any]]) -> list[Row]:
    empty = f"{100 * median([one['empty'] for one in found]):.0f} %"
    return [
        Row(how, ">= 30 frames/s", span([one["fps"] for one in found], "frames/s", 0)),
        Row("its longest frame", "", span([one["longest_ms"] for one in found], "ms", 0)),
        Row("tiles in view without a photograph meanwhile", "", empty),
        Row("from its end until all in view have theirs", "", span([one["settled_ms"] for one in found], "ms", 0)),
    ]


def many_links(work: Path, size: int) -> Path:
    """Make a folder of so many photographs, links to those that are there; made once."""
    place, making = work / f"many_{size}", work / f"making_{size}"
    if place.is_dir():
        return place
    found = sorted((work / "photos").rglob("*.jpg"))
    for index, path in enumerate(islice(cycle(found), size)):
        folder = making / "photos" / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:07}.jpg").hardlink_to(path)
    making.rename(place)
    return place


def _pictures(work: Path) -> list[Path]:
    found = sorted((work / "photos").rglob("*.jpg"))
    return found[:: max(1, len(found) // _PICTURES)][:_PICTURES]


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that so many are not above: of a hundred, 0.99 is the second largest."""
    return sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]


def p50_p99(ms: Sequence[float]) -> str:
    """Say both, with the largest."""
    return f"{median(ms):.1f} / {quantile(ms, 0.99):.1f} ms (largest {max(ms):.0f}, {len(ms)} requests)"


_MEASURES = {"loop": measure_loop, "api": measure_api, "pages": measure_pages, "memory": measure_memory}

if __name__ == "__main__":
    sys.exit(main())
