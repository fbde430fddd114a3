"""Kill -9 at random moments, and the same command again: whether it comes to the same weights."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, say
from network_runs import job_folder, our_words, train_ours

from retrain import fsio
from retrain.trainer.job import HEAD_FILE, NETWORK_FILE


@dataclass(frozen=True)
class Kill:
    """One training that was killed.

    Args:
        after_s: seconds from the start of the command to the kill.
        checkpoint: name of the newest checkpoint then; empty where there was none.
        ended: the command was done before the moment came.
        runs: commands until it was done, the killed one among them.
        same: its weights have the hashes of those of the undisturbed run.
    """

    after_s: float
    checkpoint: str
    ended: bool
    runs: int
    same: bool


def measure(
    image_dir: Path, place: Path, flags: Sequence[str], kills: int, seed: int
) -> tuple[dict[str, str], list[Kill]]:
    """Train undisturbed, then again and again with a kill each; the hashes of the weights, and the kills."""
    if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        raise SystemExit("expected /proc to list the children of a process, as on Linux; measure this there")
    say("undisturbed, twice: the first fills the caches")
    train_ours(image_dir, place, flags)
    undisturbed = train_ours(image_dir, place, flags)
    wanted = hashes(place)
    draws = random.Random(seed)
    found: list[Kill] = []
    while sum(not one.ended for one in found) < kills:
        moment = draws.uniform(0, undisturbed.wall_s)
        say(f"kill {len(found) + 1}, after {moment:.1f} of {undisturbed.wall_s:.1f} s")
        found.append(_one(our_words(image_dir, place, flags), place, moment, wanted))
        if len(found) > 3 * kills:
            raise SystemExit(f"most of {len(found)} commands were done before they were killed; train for longer")
    return wanted, found


def hashes(place: Path) -> dict[str, str]:
    """SHA-256 of the trained weights below a place; empty where there are none yet."""
    folder = job_folder(place)
    files = [] if folder is None else [folder / NETWORK_FILE, folder / HEAD_FILE]
    return {file.name: fsio.sha256_file(file) for file in files if file.exists()}


def _one(words: Sequence[str | Path], place: Path, moment: float, wanted: dict[str, str]) -> Kill:
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    shutil.rmtree(place / "out", ignore_errors=True)
    ended = _start_and_kill(words, moment)
    newest = max((path.name for path in (place / "checkpoints").glob("*/checkpoint-*.npz")), default="")
    runs = 1
    if not ended:
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, cwd=ROOT)
        runs += 1
        if done.returncode != 0:
            raise SystemExit(f"the command failed with {done.returncode} after a kill:\n{done.stderr[-2000:]}")
    return Kill(moment, newest, ended, runs, hashes(place) == wanted)


def _start_and_kill(words: Sequence[str | Path], moment: float) -> bool:
    """Start a command, end it and all that it started at a moment; whether it was done before."""
    child = subprocess.Popen(
        list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
    )
    try:
        child.wait(moment)
    except subprocess.TimeoutExpired:
        kill_tree(child.pid)
        child.wait()
        return False
    if child.returncode != 0:
        raise SystemExit(f"the command failed with {child.returncode} before it was killed; run it by hand to see why")
    return True


def kill_tree(pid: int) -> None:
    """Kill -9 a process and all that it started, whatever session they are in; Linux only, by /proc.

    All are stopped first, so that none sees another's end and writes its last checkpoint in good order.
    """
    stopped: list[int] = []
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        if _signalled(one, signal.SIGSTOP):
            stopped.append(one)
            waiting += children_of(one)
    for one in stopped:
        _signalled(one, signal.SIGKILL)
    _wait_until_gone(stopped[1:])


def children_of(pid: int) -> list[int]:
    """Name the processes that a process started."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue  # a thread that has ended
    return found


def _signalled(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _wait_until_gone(pids: Sequence[int], patience_s: float = 10.0) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end and any(_is_running(pid) for pid in pids):
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
