"""A studio in a process of its own, for bench/studio.py: started, asked, its memory read, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common import BENCH, ROOT

OPEN = "The studio is open at "
_PATIENCE_S = 300.0


class Studio:
    """One that answers."""

    def __init__(self, process: subprocess.Popen[str], address: str, start_s: float) -> None:
        self._process, self.address, self.start_s = process, address, start_s

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rsplit(":", 1)[1])

    def get(self, path: str) -> Any:
        """Ask for JSON."""
        return self._ask(urllib.request.Request(f"{self.address}/studio/{path}"))

    def post(self, path: str, facts: dict[str, Any]) -> Any:
        """Send JSON."""
        headers = {"Content-Type": "application/json"}
        return self._ask(urllib.request.Request(f"{self.address}/studio/{path}", json.dumps(facts).encode(), headers))

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=60) as got:
                return json.load(got)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise SystemExit(f"{request.full_url} was answered with {error.code}: {said[:500]}") from error

    def mb(self) -> float:
        """Memory that it has in use, in MB: resident, its pages shared with others too."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def cpu_s(self) -> float:
        """Processor seconds that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def until(self, is_so: Callable[[dict[str, Any]], bool]) -> float:
        """Wait until its state is such, and say how many seconds it took."""
        start = time.perf_counter()
        while not is_so(state := self.get("state")):
            if state["trouble"] or time.perf_counter() - start > _PATIENCE_S:
                raise SystemExit(f"the studio is in trouble: {state['trouble'] or 'nothing happens'}")
            time.sleep(0.05)
        return time.perf_counter() - start

    def until_examined(self) -> float:
        """Wait until the head is fitted to the newest state of the folder, and cross-validated."""
        return self.until(lambda state: state["crossed"] is not None and state["fitted_revision"] == state["revision"])


@contextlib.contextmanager
def studio(place: Path, *words: str | Path) -> Iterator[Studio]:
    """Start a studio in a folder and wait until its page answers; its output of this command goes nowhere else."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "retrain", "studio", "--port", "0", "--no_browser", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = _address(process)
            with urllib.request.urlopen(address, timeout=60) as got:
                got.read()
            yield Studio(process, address, time.perf_counter() - start)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    """Read the address off what the studio says."""
    end, said = time.monotonic() + _PATIENCE_S, ""
    assert process.stdout is not None
    while time.monotonic() < end:
        if not select.select([process.stdout], [], [], 1.0)[0]:
            continue
        line = process.stdout.readline()
        said += line
        if line.startswith(OPEN):
            return line.removeprefix(OPEN).split()[0]
        if not line:
            break
    raise SystemExit(f"expected the studio to say where it is open, it said: {said or 'nothing'}")


def classify(
    port: int, pictures: Sequence[Path], in_flight: int, *, requests: int = 0, seconds: float = 0.0
) -> dict[str, Any]:
    """Have photographs named by another process."""
    words = [str(port), str(in_flight), *map(str, pictures), "--requests", str(requests), "--seconds", str(seconds)]
    command = [sys.executable, "-I", "-S", str(BENCH / "studio_ask.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the client failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
