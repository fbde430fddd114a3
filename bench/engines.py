"""Which engine runs the frozen backbone fastest: images a second of the pass alone, decoded pictures given.

    python bench/engines.py
    python bench/engines.py --architectures inception_v3 resnet50 --rounds 7
    python bench/engines.py --engines "litert threads=1" "tensorflow"

Random weights: speed and agreement with Keras depend on neither training nor photographs. Each engine lives in a
process of its own and they are asked in turn, so that a busy machine slows all alike; figures are medians. ONNX Runtime
(with tf2onnx) and OpenVINO are measured where they are installed. An engine that does not answer in time is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import BENCH, machine, median, print_table, save, say

PICTURES = 16
TIMEOUT_S = 300.0
PLAIN = "litert threads=1 batch=1"
# Name -> modules it needs beyond the project's own.
ENGINES = {
    PLAIN: (),
    "litert threads=all batch=1": (),
    "litert threads=1 batch=4": (),
    "litert threads=all batch=4": (),
    "tensorflow batch=8 precision=float32": (),
    "tensorflow batch=8 precision=bfloat16": (),
    "onnxruntime": ("onnxruntime", "tf2onnx"),
    "openvino precision=float32": ("openvino",),
    "openvino precision=bfloat16": ("openvino",),
}


@dataclass
class Figure:
    """One engine on one architecture."""

    engine: str
    per_s: list[float] = field(default_factory=list)
    largest_difference: float | None = None
    scale: float | None = None
    failure: str = ""


class Peer:
    """An engine in its process."""

    def __init__(self, engine: str, stem: Path, pictures: Path, threads: int) -> None:
        words = [sys.executable, str(BENCH / "engine_peer.py"), engine, str(stem), str(pictures), str(threads)]
        self._child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask one question and wait for its answer."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        watchdog = threading.Timer(TIMEOUT_S, self._child.kill)
        watchdog.start()
        line = self._child.stdout.readline()
        watchdog.cancel()
        if not line:
            raise EOFError(f"no answer within {TIMEOUT_S:g} s, or ended with {self._child.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> int:
    """Measure all architectures, print a table each, write the results."""
    arguments = _parse()
    start, facts = machine(), {}
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        for architecture in arguments.architectures:
            figures = measure(architecture, Path(temp), arguments)
            facts[architecture] = [asdict(figure) for figure in figures]
            _print(architecture, figures)
    for name, modules in ENGINES.items():
        if not _installed(modules):
            print(f"{name}: not measured, {' and '.join(modules)} are not installed here")
    save("engines", {"machine_at_start": start, "rounds": arguments.rounds, "engines": facts})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=["mobilenet_0.50_224", "inception_v3"], metavar="NAME")
    parser.add_argument("--engines", nargs="+", default=[""], metavar="START", help="only names that start so")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each engine (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long a round lasts (default: 1)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one a core")
    return parser.parse_args()


def measure(architecture: str, folder: Path, arguments: argparse.Namespace) -> list[Figure]:
    """Ask every engine in turn, round after round."""
    say(f"{architecture}: building")
    stem, pictures = folder / architecture, folder / f"{architecture}.npy"
    words = [sys.executable, str(BENCH / "engine_peer.py"), "make", architecture, str(stem), str(pictures)]
    made = subprocess.run([*words, str(PICTURES)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise SystemExit(f"{architecture} could not be built:\n{made.stderr[-2000:]}")
    right = np.load(f"{stem}_keras.npy")
    figures, peers = [], {}
    for engine in _wanted(arguments.engines):
        figures.append(Figure(engine))
        try:
            peers[engine] = Peer(engine, stem, pictures, arguments.threads)
            _compare(figures[-1], peers[engine], right, folder / "answer.npy")
        except EOFError as error:
            figures[-1].failure = str(error)
    try:
        _rounds(figures, peers, arguments)
    finally:
        for peer in peers.values():
            peer.close()
    return figures


def _wanted(starts: Sequence[str]) -> list[str]:
    chosen = [name for name, modules in ENGINES.items() if name.startswith(tuple(starts)) and _installed(modules)]
    return chosen if PLAIN in chosen else [PLAIN, *chosen]


def _installed(modules: Sequence[str]) -> bool:
    return all(find_spec(module) for module in modules)


def _compare(figure: Figure, peer: Peer, right: np.ndarray, answer: Path) -> None:
    peer.ask(answer=str(answer))
    figure.largest_difference = float(np.abs(np.load(answer) - right).max())
    figure.scale = float(np.abs(right).max())


def _rounds(figures: Sequence[Figure], peers: dict[str, Peer], arguments: argparse.Namespace) -> None:
    counts: dict[str, int] = {}
    for number in range(arguments.rounds + 1):  # the first does not count: it says how many pictures fill a round
        say(f"round {number} of {arguments.rounds}")
        for figure in figures:
            if figure.failure:
                continue
            try:
                per_s = peers[figure.engine].ask(count=counts.get(figure.engine, PICTURES))["per_s"]
            except (EOFError, OSError) as error:
                figure.failure = str(error)
                continue
            if number:
                figure.per_s.append(per_s)
            else:
                counts[figure.engine] = max(PICTURES, round(per_s * arguments.seconds / PICTURES) * PICTURES)


def _print(architecture: str, figures: Sequence[Figure]) -> None:
    plain = figures[0].per_s
    rows = []
    for figure in figures:
        if figure.failure:
            rows.append([figure.engine, "-", "-", figure.failure])
            continue
        ratio = median([a / b for a, b in zip(figure.per_s, plain, strict=False)]) if plain else float("nan")
        off = (figure.largest_difference or 0.0) / (figure.scale or 1.0)
        low, high = min(figure.per_s), max(figure.per_s)
        speed = f"{median(figure.per_s):.1f} ({low:.1f} to {high:.1f})"
        rows.append([figure.engine, speed, f"{ratio:.2f}", f"{figure.largest_difference:.1e} ({off:.1e})"])
    print()
    print_table((architecture, "images/s", "of the first", "largest difference from Keras (of the largest)"), rows)


if __name__ == "__main__":
    sys.exit(main())
