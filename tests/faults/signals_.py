"""Commands that are interrupted at random moments: how they end, how fast, and what they leave."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands import ROOT, environment
from kills import OUTPUTS, cache_rows, children_of, is_alive, outlived_s, temporaries

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
DONE_S = 2.0
WAIT_S = 120.0
REAL = ("-m", "retrain")
FAKE = (str(Path(__file__).with_name("signals_child.py").resolve()),)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: of the process; negative where a signal ended it.
        took_s: from the signal to the end.
        said: on both streams.
    """

    code: int
    took_s: float
    said: str


@contextmanager
def started(words: Sequence[str | Path], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a command whose temporary files come into ``folder / "tmp"``; killed where it is left running."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, *map(str, words)], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**environment(), "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}, preexec_fn=_hear_signals,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def _hear_signals() -> None:
    # Trap: what a shell starts in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(child: subprocess.Popen[str], *numbers: int, between_s: float = 0.0) -> Ended:
    """Send signals, one after the other, and wait for the end."""
    family = children_of(child.pid)
    since = time.monotonic()
    for number in numbers:
        child.send_signal(number)
        time.sleep(between_s)
    code = child.wait(WAIT_S)
    took_s = time.monotonic() - since
    said, _ = child.communicate(timeout=WAIT_S)
    assert outlived_s(family) < DONE_S
    return Ended(code, took_s, said)


def judge(ended: Ended, number: int, *folders: Path) -> None:
    """Hold how a command ended against what is promised; a command that was over before is as good."""
    told = f"{signal.Signals(number).name}: code {ended.code} after {ended.took_s:.2f} s:\n{ended.said}"
    # Before there is anything to lose the signal itself ends the process: -2 and -15 are what a shell calls 130 and 143.
    assert ended.code in (CODES[signal.Signals(number)], -number, 0), told
    assert "Traceback" not in ended.said or is_of_python(ended.said), told
    assert "Exception ignored" not in ended.said, told
    left = temporaries(*folders)
    assert left == [], f"{told}\nleft: {left}"


def is_of_python(said: str) -> bool:
    """Whether a traceback is of the interpreter's own first 30 ms: before the first statement of ours was executed."""
    files = re.findall(r'File "([^"]+)"', said)
    if "import signal\n" in said:  # that statement
        return True
    return not any(
        "/retrain/" in name or "/tests/" in name for name in files if not name.endswith("/retrain/__init__.py")
    )


class Interrupted:
    """Interrupts one command again and again.

    Args:
        folder: of the run, prepared.
        words: of the command, with its flags.
        seed: of all moments.
    """

    def __init__(self, folder: Path, words: Sequence[str | Path], seed: int) -> None:
        self.folder, self.words, self.random = folder, tuple(words), random.Random(seed)
        self.clean()
        since = time.monotonic()
        self.complete()
        self.lasts_s = time.monotonic() - since
        self.rows = cache_rows(folder)
        self.longest_s, self.count = 0.0, 0

    def clean(self) -> None:
        """Remove all outputs."""
        for name in OUTPUTS:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def complete(self) -> str:
        """Run the command to its end."""
        with started(self.words, self.folder) as child:
            said, _ = child.communicate(timeout=WAIT_S)
        assert child.returncode == 0, said
        assert temporaries(self.folder) == []
        return said

    def once(self, latest_s: float = 0.0, number: int = 0) -> Ended:
        """Interrupt it at a random moment, and look at what it leaves."""
        number = number or self.random.choice(list(CODES))
        moment_s = self.random.uniform(0.05, latest_s or self.lasts_s)
        before = cache_rows(self.folder)
        with started(self.words, self.folder) as child:
            time.sleep(moment_s)
            ended = interrupt(child, number)
        judge(ended, number, self.folder)
        self.longest_s, self.count = max(self.longest_s, ended.took_s), self.count + 1
        rows = cache_rows(self.folder)
        assert before.items() <= rows.items() <= self.rows.items()
        return ended


def wait_until_it_says(child: subprocess.Popen[str], words: str) -> str:
    """Read what a command says up to a line with these words."""
    assert child.stdout is not None
    said = ""
    while words not in said:
        line = child.stdout.readline()
        assert line, said
        said += line
    return said


def wait_for_child(pid: int, word: str) -> int:
    """Wait until a process has started one whose command line has this word; its number."""
    since = time.monotonic()
    while time.monotonic() - since < WAIT_S and is_alive(pid):
        for child in children_of(pid):
            try:
                if word in Path(f"/proc/{child}/cmdline").read_bytes().decode():
                    return child
            except OSError:
                continue
        time.sleep(0.005)
    raise AssertionError(f"no child with {word}")
