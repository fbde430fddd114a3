"""Runs on a disk that is full, and under a limit on the size of files; afterwards with room."""

from __future__ import annotations

import contextlib
import io
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import fake_run
from commands import environment

DISK_BYTES = 4 << 20
# A run takes about this much of cache, pictures, model and report, and so many bytes in its largest file.
RUN_BYTES, LARGEST_FILE = 700_000, 150_000


class Outcome(NamedTuple):
    """Exit code of the run without room, what it said, vectors that it kept, and what is not as it has to be."""

    code: int
    said: str
    kept: int
    problems: list[str]


def undisturbed(folder: Path) -> dict[str, str]:
    """What a run leaves where there is room, as of fake_run.artefacts."""
    flags = fake_run.prepare(folder)
    assert _run(flags)[0] == 0
    return fake_run.artefacts(folder)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mount a disk of 4 MiB in memory; yields False where that is not allowed."""
    place.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    is_mounted = shutil.which("mount") is not None and subprocess.run(words, capture_output=True).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(place)], check=True)


def on_full_disk(disk: Path, free: int, whole: dict[str, str]) -> Outcome:
    """Run where so many bytes are free, and again where there is room.

    Args:
        disk: of small_disk; emptied.
        free: bytes.
        whole: of undisturbed.
    """
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    flags, ballast = fake_run.prepare(disk / "run"), disk / "ballast"
    ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - free)))
    code, said = _run(flags)
    return _healed(disk / "run", flags, code, said, whole, ballast.unlink)


def under_limit(folder: Path, limit: int, whole: dict[str, str]) -> Outcome:
    """Run where no file may be larger (ulimit -f), and again without.

    Trap: the kernel sends SIGXFSZ, which ends a process that does not ignore it; Python does.

    Args:
        folder: emptied.
        limit: bytes.
        whole: of undisturbed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    flags = fake_run.prepare(folder)
    run = subprocess.run(
        [sys.executable, str(Path(fake_run.__file__)), *flags],
        env=environment(), capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    outcome = _healed(folder, flags, run.returncode, run.stderr, whole, lambda: None)
    if run.returncode and f"no file may have more than {limit:,} bytes here (ulimit -f)" not in run.stderr:
        outcome.problems.append("the limit is not named")
    return outcome


def _healed(folder: Path, flags: Sequence[str], code: int, said: str, whole: dict[str, str], make_room) -> Outcome:
    problems = []
    if code and not (1 <= code <= 8 and "bytes free in" in said and "Traceback" not in said):
        problems.append(f"expected an exit code and a sentence with the free bytes, got {code}: {said}")
    found = fake_run.artefacts(folder)
    if code:
        # What lies beside the model is whole; what TensorBoard shows may be of a run that did not end.
        problems += [f"{name} is half written" for name in found if name[:4] == "out/" and found[name] != whole[name]]
    make_room()
    kept = fake_run.cache_rows(folder)
    again, words = _run(flags)
    if again:
        problems.append(f"with room it ended with {again}: {words}")
    elif fake_run.artefacts(folder) != whole:
        problems.append("with room it made something else")
    elif not kept.items() <= fake_run.cache_rows(folder).items():
        problems.append("what was cached was lost")
    return Outcome(code, said, len(kept), problems)


def _run(flags: Sequence[str]) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = fake_run.run_here(flags)
    return code, said.getvalue()
