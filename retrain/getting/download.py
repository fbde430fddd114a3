"""Brings everything together: a crew asks, one thread keeps what came, a manifest says what became of each address."""

from __future__ import annotations

import contextlib
import os
import queue
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from retrain import fsio
from retrain.console import Advance, Console
from retrain.errors import UsageError
from retrain.getting.addresses import Policy, RefusedError, parse_url
from retrain.getting.asking import Asker, Finding, Job
from retrain.getting.client import Client, library_problem
from retrain.getting.contents import Shelf, file_name
from retrain.getting.lists import Wanted, list_problems
from retrain.getting.manifest import (
    CONFLICT,
    DUPLICATE,
    FAILED,
    HAD,
    KEPT,
    NAME,
    REFUSED,
    STATUSES,
    Manifest,
    Row,
    Writer,
)
from retrain.getting.robots import Rules
from retrain.getting.turns import Turns
from retrain.storage import is_url

_AGENT = "retrain-photos"
_LOCK = ".fetching"
_LOCK_WAIT_S = 2.0
_LAST_WORDS_S = 2.0
_TICK_S = 0.2


@dataclass(frozen=True)
class Options:
    """How pictures are fetched.

    Args:
        image_dir: folder of class folders.
        parallel: requests at once, each to another host.
        gap_s: seconds from the end of a request to the next one to its host.
        per_s: requests a second in all.
        timeout_s: how long a connection or a block of data may take.
        total_s: how long the whole of an answer may take.
        tries: how often an address is asked at most.
        backoff_s: pause before the second try, doubled before each further one.
        max_wait_s: a server that wants to be left alone for longer is left alone for this run.
        max_bytes: of a picture.
        max_pixels: of a picture, width times height.
        contact: e-mail address or URL, told to the servers.
        again: ask again for what was refused in an earlier run.
        policy: what may be connected to.
        context: for TLS; None takes the system's certificates.
    """

    image_dir: str | Path
    parallel: int = 8
    gap_s: float = 1.0
    per_s: float = 10.0
    timeout_s: float = 10.0
    total_s: float = 60.0
    tries: int = 3
    backoff_s: float = 2.0
    max_wait_s: float = 120.0
    max_bytes: int = 20_000_000
    max_pixels: int = 100_000_000
    contact: str = ""
    again: bool = False
    policy: Policy = field(default_factory=Policy)
    context: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a list.

    Args:
        rows: one an address, in the order of the list.
        asked: how many of them were asked in this run.
        manifest: the file with all rows.
    """

    rows: tuple[Row, ...]
    asked: int
    manifest: Path

    def count_by_status(self) -> dict[str, int]:
        """Count the addresses a status; see manifest.py."""
        counts = Counter(row.status for row in self.rows)
        return {status: counts[status] for status in STATUSES if counts[status]}

    @property
    def missing(self) -> tuple[Row, ...]:
        """What could not be had."""
        return tuple(row for row in self.rows if row.status not in HAD)


def fetch_problems(wanted: Sequence[Wanted], options: Options) -> list[str]:
    """Find everything that stands in the way of fetching; nothing is asked or written.

    Args:
        wanted: what is to be had.
        options: how.

    Returns:
        One sentence a problem.
    """
    folder = Path(options.image_dir)
    problems = [problem] if (problem := library_problem()) else []
    if is_url(str(options.image_dir)):
        problems.append(
            f"expected --image_dir to be a folder of this machine, got {options.image_dir}; copy it there later"
        )
        return problems
    try:
        folders = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    except OSError as error:
        return [*problems, f"cannot read {folder}: {error.strerror}; check its permissions"]
    of_list = list_problems(wanted, folders)
    places = [(folder, True), (folder / NAME, False)]
    if not of_list:
        places += [(folder / label, True) for label in dict.fromkeys(one.label for one in wanted)]
    for path, is_folder in places:
        if why := fsio.why_not_writable(path, folder=is_folder):
            problems.append(f"cannot write {path}: {why}")
            break  # what lies in it has the same fault
    if not (options.contact.isascii() and options.contact.isprintable()):
        problems.append(f"expected --contact in plain letters, got {options.contact!r}")
    return problems + of_list


def fetch_all(wanted: Sequence[Wanted], options: Options, console: Console) -> Outcome:
    """Fetch pictures into class folders; interrupted, the same call goes on from there.

    Args:
        wanted: what is to be had.
        options: how.
        console: shows how far it has come.

    Returns:
        What became of each address; what could not be had is no exception here.

    Raises:
        UsageError: everything that stands in the way, before anything is asked or written.
        RetrainError: another process fetches into this folder.
    """
    problems = fetch_problems(wanted, options)
    if problems:
        raise UsageError(problems)
    folder = Path(options.image_dir)
    wanted = list(dict.fromkeys(wanted))
    with fsio.locked(folder / _LOCK, timeout_s=_LOCK_WAIT_S):
        manifest = Manifest(folder / NAME)
        unsettled = {FAILED} if not options.again else {FAILED, REFUSED, CONFLICT}
        rows = manifest.rows
        # What failed before comes last: a site that is left alone for it must not hide what was never asked.
        todo = [one for one in wanted if one not in rows]
        todo += [one for one in wanted if one in rows and rows[one].status in unsettled]
        if todo:
            with manifest.open() as writer, console.stage("fetching", len(todo), "photographs") as advance:
                _fetch(todo, options, _Keeper(folder, writer), advance)
    return Outcome(tuple(manifest.rows[one] for one in wanted), len(todo), manifest.path)


class _Keeper:
    """Keeps what came, in one thread."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self._folder, self._writer, self._shelf = folder, writer, Shelf(folder)

    def keep(self, finding: Finding) -> None:
        wanted = finding.wanted
        row = self._row(finding) if finding.status == KEPT else Row(*wanted, finding.status, reason=finding.reason)
        # Trap: the picture first. The other way round, a kill between them would leave a row without a picture.
        self._writer.add(Row(**{**vars(row), "date": datetime.now(UTC).isoformat(timespec="seconds")}))

    def _row(self, finding: Finding) -> Row:
        url, label = finding.wanted
        sha256, found = self._shelf.find(finding.data, label)
        final_url = finding.final_url if finding.final_url != url else ""
        path = f"{label}/{file_name(url, sha256, finding.suffix)}"
        if found and found != path:
            if found.startswith(f"{label}/"):
                return Row(url, label, DUPLICATE, found, sha256, final_url)
            why = f"the same picture is {found}, under another label: take one of the two out"
            return Row(url, label, CONFLICT, found, sha256, final_url, reason=why)
        if not found:
            target = self._folder / path
            if os.path.lexists(target):
                why = f"{path} is there already, with other contents; rename it"
                return Row(url, label, FAILED, "", sha256, final_url, reason=why)
            fsio.write_bytes(target, finding.data)
            self._shelf.add(sha256, path)
        return Row(url, label, KEPT, path, sha256, final_url)


def _fetch(todo: Sequence[Wanted], options: Options, keeper: _Keeper, advance: Advance) -> None:
    client = Client(options.policy, _user_agent(options.contact), options.timeout_s, options.total_s, options.context)
    asker = Asker(
        client, Rules(client, _AGENT, options.max_wait_s), options.max_bytes, options.max_pixels, options.tries,
        options.backoff_s, options.max_wait_s,
    )  # fmt: skip
    turns: Turns[Job] = Turns(options.gap_s, options.per_s)
    asked = 0
    for one in todo:
        try:
            job = Job(one, parse_url(one.url, options.policy))
        except RefusedError as error:
            keeper.keep(Finding(one, REFUSED, str(error)))
            advance()
        else:
            turns.put(job.address.site, job)
            asked += 1
    with _crew(asker, turns, min(options.parallel, asked)) as results:
        try:
            for _ in range(asked):
                found = _next(results)
                if isinstance(found, BaseException):
                    raise found
                keeper.keep(found)
                advance()
        except Exception:
            raise
        except BaseException:  # Ctrl-C, SIGTERM: what is here already is kept, what is under way is asked again
            _keep_the_rest(results, keeper)
            raise


def _keep_the_rest(results: queue.Queue[Finding | BaseException], keeper: _Keeper) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            found = results.get_nowait()
            if isinstance(found, Finding):
                keeper.keep(found)


def _user_agent(contact: str) -> str:
    try:
        version = metadata.version(_AGENT)
    except metadata.PackageNotFoundError:  # run from its folder, without having been installed
        version = "0"
    return f"{_AGENT}/{version} (python -m retrain fetch{'; ' if contact else ''}{contact})"


def _next(results: queue.Queue[Finding | BaseException]) -> Finding | BaseException:
    while True:  # Trap: on Windows, Ctrl-C does not reach a thread that waits without a limit
        with contextlib.suppress(queue.Empty):
            return results.get(timeout=_TICK_S)


@contextlib.contextmanager
def _crew(asker: Asker, turns: Turns[Job], count: int) -> Iterator[queue.Queue[Finding | BaseException]]:
    """Start threads that ask; afterwards they have ended, or ended soon."""
    # Bounded: where the disk is slower than the line, pictures wait on their servers and not in memory.
    results: queue.Queue[Finding | BaseException] = queue.Queue(maxsize=count + 1)
    stopped = threading.Event()

    def offer(found: Finding | BaseException) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                results.put(found, timeout=_TICK_S)
                return

    def work() -> None:
        try:
            while (turn := turns.take()) is not None:
                site, job = turn
                found, rest_s = asker.ask(job)
                if isinstance(found, Job):
                    turns.put(found.address.site, found)  # before done(): else it would look as if all were done
                else:
                    offer(found)
                turns.done(site, gap_s=rest_s)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            offer(error)

    # Daemons: Ctrl-C does not wait for a name that does not resolve.
    crew = [threading.Thread(target=work, daemon=True, name=f"fetch-{number}") for number in range(count)]
    for thread in crew:
        thread.start()
    try:
        yield results
    finally:
        stopped.set()
        turns.stop()
        asker.client.stop()
        for thread in crew:
            thread.join(_LAST_WORDS_S)
