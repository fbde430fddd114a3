"""Runs that are killed at random moments, and what must be true of the disk after each kill.

``Server`` forks whole fake runs out of an interpreter that has imported everything and started no thread, so that a
thousand kills are minutes; ``Command`` starts the real command. ``Trial`` kills, looks, repeats the command, compares.

    python tests/faults/kills.py        the server: a line of JSON with flags and log in, pid and status out
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fake_run
import numpy as np
from commands import PHOTOS, ROOT, environment

from retrain import Classifier
from retrain.bottlenecks import BottleneckStore
from retrain.bottlenecks.opening import reading
from retrain.errors import ModelError

# Lines that say where a run is; a phase lasts from one to the next.
MARKS = (b"", b"bottleneck files created", b"Final test accuracy")
PHASES = ("extraction", "training", "export")
# Of the fake runs: a kill shall find some committed and some not.
COMMIT_EVERY = 4
FAKE_PHOTOGRAPHS = 24
WAIT_S = 120.0
ORPHANS_S = 5.0
OUTPUTS = ("bottlenecks", "out", "summaries")


class Started(NamedTuple):
    """A run under way: its process, the file that it writes what it says into, and what waits for its end."""

    pid: int
    log: Path
    wait: Callable[[], int]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; where it has ended already, nobody."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def said(self) -> bytes:
        """Read what it has said so far."""
        return self.log.read_bytes() if self.log.exists() else b""


class Server:
    """Forks fake runs; one at a time."""

    def __init__(self) -> None:
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**environment(), **one},
        )  # fmt: skip
        assert self._answer() == "ready"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def start(self, flags: Sequence[str], log: Path) -> Started:
        """Start a run."""
        log.unlink(missing_ok=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"flags": list(flags), "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return Started(int(self._answer()), log, lambda: int(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Command:
    """Starts the real command, ``python -m retrain``."""

    def start(self, flags: Sequence[str], log: Path) -> Started:
        """Start a run."""
        with log.open("wb") as file:
            child = subprocess.Popen(
                [sys.executable, "-m", "retrain", *flags], stdout=file, stderr=file, cwd=ROOT, env=environment()
            )
        return Started(child.pid, log, lambda: child.wait(WAIT_S))

    def close(self) -> None:
        """Nothing is left to end."""


def real_flags(folder: Path, models: Path) -> list[str]:
    """Write the flags of a real run over the photographs in the repository.

    Args:
        folder: below which its outputs lie, as of fake runs.
        models: where converted backbones lie; shared, so that few runs convert.
    """
    return [
        f"--image_dir={PHOTOS}", f"--model_dir={models}", f"--bottleneck_dir={folder / 'bottlenecks'}",
        f"--output_graph={folder / 'out' / 'model.pb'}", f"--output_labels={folder / 'out' / 'labels.txt'}",
        f"--summaries_dir={folder / 'summaries'}", "--offline", "--how_many_training_steps=200",
    ]  # fmt: skip


def cache_rows(folder: Path) -> dict[str, bytes]:
    """Read what the caches hold, as a run would: SHA-256 -> vector's bytes; a damaged row or file is an error."""
    rows = {}
    for path in sorted((folder / "bottlenecks").glob("*-*.sqlite")):
        try:
            with reading(path) as db:
                facts = dict(db.execute("SELECT key, value FROM meta"))
        except Exception as error:
            if "no such table" in str(error):
                continue  # killed before there was anything
            raise
        if "width" not in facts or path.name.startswith("album"):
            continue
        with BottleneckStore(path, facts["fingerprint"], int(facts["width"])) as store:
            assert store.set_aside is None, f"{path} was damaged"
            hashes = sorted(store.known_hashes())
            matrix, bad = store.read_matrix(hashes)
        assert not bad, f"{len(bad)} rows of {path} fail their checksum"
        rows |= {sha.hex(): vector.tobytes() for sha, vector in zip(hashes, matrix, strict=True)}
    return rows


def temporaries(*folders: Path) -> list[str]:
    """List what nothing should leave behind."""
    marks = (".tmp", ".staging.", ".replaced.", "retrain-")
    found = (path for folder in folders for path in folder.rglob("*"))
    return sorted(str(path) for path in found if any(mark in path.name for mark in marks))


@dataclass(frozen=True)
class Model:
    """A whole model on the disk: its files by hash, and what it answers.

    Args:
        files: of fake_run.artefacts.
        labels: in their order.
        scores: of one picture.
    """

    files: Mapping[str, str]
    labels: tuple[str, ...]
    scores: bytes


@dataclass
class Tally:
    """What was seen.

    Args:
        kills: runs that a kill ended, by the phase it was meant for.
        ended: runs that were over before.
        again: vectors that repetitions computed, most of them in one.
        refused: states in which label_image refuses the model until the command is repeated.
        repetitions: runs that were let end, each equal to the undisturbed one.
        orphans_s: the longest that a child outlived its run.
    """

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))
    ended: int = 0
    again: int = 0
    refused: int = 0
    repetitions: int = 0
    orphans_s: float = 0.0


class Trial:
    """Kills runs in one folder.

    Args:
        folder: of the run, prepared; its outputs are removed.
        flags: of the run.
        before: flags of another run that an earlier model comes from; its cache lies elsewhere.
        starter: Server or Command.
        seed: of all moments.
        measured: undisturbed runs that say how long each phase lasts.
    """

    def __init__(
        self,
        folder: Path,
        flags: Sequence[str],
        before: Sequence[str],
        starter: Server | Command,
        seed: int,
        measured: int = 3,
    ) -> None:
        self.folder, self.flags, self.starter = folder, flags, starter
        self.random, self.tally = random.Random(seed), Tally()
        self.kept = folder.with_name(f"{folder.name}-before")
        self._clean()
        self._run(before)
        self.old = self._model()
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(folder / "out", self.kept)
        self._clean()
        self.durations = self._measured(measured)
        self.new, self.rows = self._model(), cache_rows(folder)

    def kill(self, *, phase: str = "", earlier: bool | None = None) -> None:
        """Begin anew, kill one to three runs, and repeat the command until it is done.

        Args:
            phase: in which the first kill comes; any.
            earlier: whether there is a model of an earlier run; None: perhaps.
        """
        self._clean()
        has_old = self.random.random() < 0.5 if earlier is None else earlier
        if has_old:
            shutil.copytree(self.kept, self.folder / "out")
        for _ in range(self.random.randint(1, 3)):
            self.kill_once(phase or self.random.choice(PHASES), has_old=has_old)
            phase = ""
        self.repeat()

    def kill_once(self, phase: str, *, has_old: bool) -> None:
        """Start the run, kill it in a phase, and look."""
        committed = cache_rows(self.folder)
        run = self.starter.start(self.flags, self.folder / "log")
        mark = MARKS[PHASES.index(phase)]
        since = time.monotonic()
        while mark not in run.said() and is_alive(run.pid):
            time.sleep(0.002)
            assert time.monotonic() - since < WAIT_S, run.said().decode()
        time.sleep(self.random.uniform(0.0, 1.1 * self.durations[phase]))
        children = children_of(run.pid)
        run.kill()
        if run.wait() == -signal.SIGKILL:
            self.tally.kills[phase] += 1
        else:
            self.tally.ended += 1
        self.tally.orphans_s = max(self.tally.orphans_s, outlived_s(children))
        self.look(committed, has_old=has_old)

    def look(self, committed: Mapping[str, bytes], *, has_old: bool) -> None:
        """Hold the disk against what may be there."""
        rows = cache_rows(self.folder)
        assert rows.items() >= committed.items(), "a committed entry was lost"
        assert rows.items() <= self.rows.items(), "an entry is wrong"
        found = fake_run.artefacts(self.folder)
        for name, sha256 in found.items():
            if Path(name).name.startswith(".") or "/." in name:
                continue  # temporary; the next run sweeps it
            legal = (self.old.files.get(name) if has_old else None, self.new.files.get(name))
            assert sha256 in legal, f"{name} is neither the old nor the new one"
        self._ask(has_old=has_old)

    def _ask(self, *, has_old: bool) -> None:
        """Whoever asks the model is answered by the old one or the new one, or refused."""
        if not (self.folder / "out" / "model.pb").exists():
            return
        try:
            answer = self._answer()
        except ModelError:
            self.tally.refused += 1
            return
        legal = [(self.new.labels, self.new.scores)] + [(self.old.labels, self.old.scores)] * has_old
        assert answer in legal, "the model answers as neither the old nor the new one"

    def repeat(self) -> None:
        """Repeat the command; all must be as after an undisturbed run."""
        had = len(cache_rows(self.folder))
        said = self._run(self.flags)
        made = [line for line in said.splitlines() if b"bottleneck files created" in line]
        again = int(made[0].split()[0])
        assert had + again == len(self.rows), f"{again} of {len(self.rows)} computed, though {had} were there"
        self.tally.again = max(self.tally.again, again)
        self.tally.repetitions += 1
        assert cache_rows(self.folder) == self.rows
        model = self._model()
        different = {name for name, _ in set(model.files.items()) ^ set(self.new.files.items())}
        assert not different, f"not as after an undisturbed run: {sorted(different)}"
        assert model == self.new
        assert temporaries(self.folder) == []

    def _run(self, flags: Sequence[str]) -> bytes:
        run = self.starter.start(flags, self.folder / "log")
        assert run.wait() == 0, run.said().decode()
        return run.said()

    def _measured(self, often: int) -> dict[str, float]:
        """Say how long each phase lasts in an undisturbed run; outputs of the last one stay."""
        times: dict[str, list[float]] = {phase: [] for phase in PHASES}
        for _ in range(often):
            self._clean()
            moments = self._moments()
            for phase, begin, end in zip(PHASES, moments, moments[1:], strict=False):
                times[phase].append(end - begin)
        return {phase: statistics.median(lasted) for phase, lasted in times.items()}

    def _moments(self) -> list[float]:
        run, moments = self.starter.start(self.flags, self.folder / "log"), [time.monotonic()]
        for mark in MARKS[1:]:
            while mark not in run.said() and is_alive(run.pid):
                time.sleep(0.002)
            moments.append(time.monotonic())
        assert run.wait() == 0, run.said().decode()
        return [*moments, time.monotonic()]

    def _clean(self) -> None:
        for name in OUTPUTS:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _model(self) -> Model:
        return Model(fake_run.artefacts(self.folder), *self._answer())

    def _answer(self) -> tuple[tuple[str, ...], bytes]:
        out = self.folder / "out"
        names = out / "labels.txt"  # as the codelab's label_image is given them
        with Classifier.open(out / "model.pb", labels=names if names.exists() else None) as model:
            picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
            return tuple(model.bundle.labels), model.scores(picture).tobytes()


def fake_trial(folder: Path, server: Server, seed: int) -> Trial:
    """Prepare a fake run to be killed, with an earlier model of other labels."""
    flags = fake_run.prepare(folder, photographs=FAKE_PHOTOGRAPHS, seed=seed)
    before = folder / "photos before"
    shutil.rmtree(before, ignore_errors=True)
    for number, place in enumerate(sorted((folder / "photos").iterdir())):
        shutil.copytree(place, before / f"kind {9 - number}")
    other = {"--image_dir": before, "--bottleneck_dir": folder / "bottlenecks before"}
    old = [word for word in flags if word.split("=")[0] not in other]
    return Trial(folder, flags, [*old, *(f"{name}={value}" for name, value in other.items())], server, seed)


def real_trial(folder: Path, models: Path, seed: int, measured: int = 3) -> Trial:
    """Prepare the real command to be killed, with an earlier model of another training."""
    flags = real_flags(folder, models)
    folder.mkdir(parents=True, exist_ok=True)
    return Trial(folder, flags, [*flags, "--how_many_training_steps=100"], Command(), seed, measured)


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    """List the processes that a process has started, and theirs."""
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for task in tasks:
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children_of(child)]
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found


def outlived_s(pids: Sequence[int]) -> float:
    """Wait until processes whose parent was killed are gone; how long that took."""
    since = time.monotonic()
    while any(is_alive(pid) for pid in pids):
        time.sleep(0.01)
        assert time.monotonic() - since < ORPHANS_S, f"orphans after {ORPHANS_S} s: {pids}"
    return time.monotonic() - since


def serve() -> None:
    """Fork a run a line."""
    from retrain import cli, run  # noqa: F401 - imported once for all runs
    from retrain.bottlenecks import collect

    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread was started before the forks"
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            with mock.patch.object(collect, "COMMIT_EVERY", COMMIT_EVERY):
                _be_a_run(order)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _be_a_run(order: Mapping[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        code = fake_run.run_here(order["flags"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
