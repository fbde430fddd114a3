r"""Side by side: ours, the codelab's retrain.py, the Keras idiom, torchvision and scikit-learn; the machine's bound.

    python bench/run.py --photographs flower_photos --codelab_retrain retrain.py --codelab_label label_image.py \
        --tf115_python PATH/TO/python3.7

Cases: help, label, extract, large, bound, run4000, run500; --only picks some. Within a round every side has its turn,
so that a busy machine slows all (after the first, only those with a goal, where there is one); ratios are taken within
a round, and their median over rounds is printed. "6 x" says that the peer takes six times as long as ours. Nothing
fails when a goal is missed: read the table. A round that would end after --minutes is left out; the table says how many
there were.

What is counted: of whole runs, the process from start to end, all outputs at their defaults; ours with its backbone
converted already, the codelab's with its archive fetched already. Of extraction: ours from the folder to the matrix,
cache written; the codelab's as a run of one step with nothing cached less the same run with all cached; the Keras idiom
in a process that is warm already. Large photographs are the given ones, enlarged. All sides see the same files.

The codelab's scripts are no part of this repository: save scripts/retrain.py and scripts/label_image.py of
github.com/googlecodelabs/tensorflow-for-poets-2. They need Python 3.7 with TensorFlow 1.15:
python3.7 -m pip install 'tensorflow==1.15.5' 'protobuf<3.21' 'numpy<1.19'. label_image.py is measured on the TensorFlow
of this environment, too, which is given to it under its old names, as codelab_kept.py does.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from time import sleep
from typing import Any

from bound import Rates, best_gemm_peak, rate
from cases import CASES, LARGE_SIZE, PEERS, Case, Clock, Line, Scale, Sizes, bound_lines, lines_of
from codelab_peer import ARCHITECTURE, Codelab, tensorflow_version
from common import ROOT, cores, machine, print_table, save, say
from photographs import class_folders, lay_out, lay_out_large
from sides import Answer, CodelabKeptSide, CodelabSide, KerasSide, Ours, Photographs, Sample, Side, TorchSide

from retrain.backbones import FrozenBackbone, PreparedBackbone, find_backbone, prepare_backbone
from retrain.console import Console
from retrain.images import decode_rgb, read_image_file

Samples = dict[str, list[Sample]]
# Our cache does not believe a date that is younger than this when it reads (git's racy rule).
SETTLE_S = 3.0
GEMM_S = 1.0
_HOW_TO = "python bench/run.py --help says how to get it"
_TORCH_VERSIONS = "import torch, torchvision, sklearn; print(torch.__version__, torchvision.__version__)"


def main() -> int:
    """Measure the cases, print the table, write the results."""
    arguments = _parse()
    scale = Scale.quick() if arguments.quick else Scale.full()
    start, clock = machine(), Clock(60 * arguments.minutes)
    with tempfile.TemporaryDirectory(prefix="bench-") as temp, ExitStack() as stack:
        bench = Bench(Path(temp), arguments, scale, stack)
        lines = [line for case in CASES if case.name in arguments.only for line in bench.run(case, clock)]
    if arguments.quick:
        print("--quick: it works or it does not; the figures mean nothing.\n")
        lines = [replace(line, reached="") for line in lines]
    print_table(("figure", "goal", "reached", "measured"), [line.cells() for line in lines])
    print(f"\n{clock.elapsed_s() / 60:.1f} minutes; photographs: {arguments.photographs.name}")
    if not arguments.quick:
        facts = {"machine_at_start": start, "minutes": clock.elapsed_s() / 60, "peers": bench.peer_facts()}
        facts |= {"photographs": arguments.photographs.name, "lines": [asdict(line) for line in lines]}
        save("run", facts)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--photographs",
        metavar="DIR",
        type=_resolved,
        default=ROOT / "tf_files" / "cluster_photos",
        help="class folders of JPEG photographs, of which the sets are made (default: tf_files/cluster_photos)",
    )
    parser.add_argument("--codelab_retrain", metavar="FILE", type=_resolved, help="the codelab's scripts/retrain.py")
    parser.add_argument("--codelab_label", metavar="FILE", type=_resolved, help="the codelab's scripts/label_image.py")
    # Not resolved: a virtual environment's interpreter is a link that must be called by its own name.
    parser.add_argument(
        "--tf115_python",
        metavar="PYTHON",
        type=Path,
        default=os.environ.get("RETRAIN_TF115_PYTHON"),
        help="interpreter with TensorFlow 1.15 (default: the environment's RETRAIN_TF115_PYTHON)",
    )
    parser.add_argument(
        "--torch_python",
        metavar="PYTHON",
        type=Path,
        default=os.environ.get("RETRAIN_TORCH_PYTHON", sys.executable),
        help="interpreter with torchvision and scikit-learn (default: RETRAIN_TORCH_PYTHON, else the one that runs)",
    )
    names = [case.name for case in CASES]
    parser.add_argument("--only", metavar="CASE", nargs="+", choices=names, default=names, help=", ".join(names))
    parser.add_argument("--minutes", type=float, default=14.0, help="start no round that would end later (default: 14)")
    parser.add_argument("--quick", action="store_true", help="a minute or two on few photographs, to see that it works")
    arguments = parser.parse_args()
    problems = find_problems(arguments)
    if problems:
        parser.error("; ".join(problems))
    return arguments


def _resolved(text: str) -> Path:
    return Path(text).resolve()


def find_problems(arguments: argparse.Namespace) -> list[str]:
    """List what is wrong with the arguments."""
    problems = [
        f"expected a file for --{name}, but there is no file {path}; --help says how to get it"
        for name in ("codelab_retrain", "codelab_label")
        if (path := getattr(arguments, name)) is not None and not path.is_file()
    ]
    folder = arguments.photographs
    if not folder.is_dir() or len(class_folders(folder)) < 2:
        problems.append(f"expected --photographs with two class folders of JPEG photographs or more, got {folder}")
    if arguments.minutes <= 0:
        problems.append(f"expected --minutes above 0, got {arguments.minutes}")
    return problems


class Bench:
    """The sets, the sides, and what is measured; all made when first wanted."""

    def __init__(self, place: Path, arguments: argparse.Namespace, scale: Scale, stack: ExitStack) -> None:
        self._place, self._arguments, self._scale, self._stack = place, arguments, scale, stack
        self.missing: dict[str, str] = {}

    def run(self, case: Case, clock: Clock) -> Iterator[Line]:
        """Measure one case; at least a line each figure and side, measured or not."""
        if not clock.allows(case.expected_s):
            yield Line(
                case.title, "", "", f"not measured: the {clock.budget_s / 60:g} minutes would not do; raise --minutes"
            )
        elif case.name == "bound":
            yield from bound_lines(self._bound_rounds(clock))
        else:
            measured = self._rounds(case, clock)
            yield from lines_of(case, self._sizes(), measured, self._whys())

    def _sizes(self) -> Sizes:
        classes = len(class_folders(self._arguments.photographs))
        photographs, large = (number - number % classes for number in (self._scale.photographs, self._scale.large))
        return Sizes(photographs, large, self._scale.steps)

    def _whys(self) -> Mapping[str, Mapping[str, str]]:
        """Say of each side why a figure may be missing; a side that is missing as a whole says so for every figure."""
        lacks: dict[str, Mapping[str, str]] = {name: side.lacks for name, side in self.sides.items()}
        return lacks | {name: {"": why} for name, why in self.missing.items()}

    def _rounds(self, case: Case, clock: Clock) -> dict[str, Samples]:
        """Run a case's rounds; side -> figure -> a sample a round."""
        self._prepare(case)
        found: dict[str, Samples] = {name: {} for name in self.sides}
        cost_s = 0.0
        for number in range(self._scale.rounds(case)):
            if number and not clock.allows(cost_s):
                say(f"{case.name}: no time for round {number + 1}")
                break
            before = clock.elapsed_s()
            for name in list(self.sides):
                if case.takes_part(name, number):
                    say(f"{case.name}, round {number + 1}: {name}")
                    side = self.sides[name]
                    _keep(found[name], self._or_drop(name, partial(self._ask, case, side)))
            cost_s = clock.elapsed_s() - before
        return found

    def _prepare(self, case: Case) -> None:
        if case.name in ("extract", "run500", "run4000"):
            _ = self.photographs
        elif case.name == "large":
            _ = self.large
        elif case.name == "label":
            say("label: models to label with")
            for name, side in list(self.sides.items()):
                if "label" not in side.lacks:
                    self._or_drop(name, partial(side.job, self.few, 10))

    def _or_drop(self, name: str, ask: Callable[[], Answer]) -> Answer:
        """Ask a side; a peer that fails is out from here on, and its lines say so."""
        try:
            return ask()
        except SystemExit as failure:
            if name == "ours":
                raise
            say(str(failure))
            del self.sides[name]
            self.missing[name] = f"failed: {str(failure).strip().splitlines()[-1]}"
            return {}

    def _ask(self, case: Case, side: Side) -> Answer:
        match case.name:
            case "help":
                return side.help()
            case "label":
                return side.label(next(path for paths in class_folders(self.few.folder).values() for path in paths))
            case "extract":
                return side.extract(self.photographs)
            case "large":
                return side.extract(self.large)
            case _:
                return side.job(self.photographs, self._scale.steps[case.name])

    def _bound_rounds(self, clock: Clock) -> list[Rates]:
        """Measure what the bound is made of, and extraction, in turn."""
        threads, spec = cores(), self.backbone.spec
        paths = [path for paths in class_folders(self.photographs.folder).values() for path in paths]
        contents = [read_image_file(str(path)) for path in paths]
        pixels = [decode_rgb(data, spec.input_spec) for data in contents]
        engine, rounds = FrozenBackbone(self.backbone.tflite, spec.input_spec), []
        cost_s = 0.0
        for number in range(self._scale.bound_rounds):
            if number and not clock.allows(cost_s):
                break
            say(f"bound, round {number + 1}")
            before = clock.elapsed_s()
            ours = self.sides["ours"].extract(self.photographs)["extract"]
            rounds.append(
                Rates(
                    gemm_flops_per_s=best_gemm_peak(threads, GEMM_S),
                    flops=2.0 * spec.multiply_adds,
                    decode_per_s=rate(lambda data: decode_rgb(data, spec.input_spec), contents, threads),
                    engine_per_s=rate(engine.features, pixels, threads),
                    extraction_per_s=self.photographs.number / ours.wall_s,
                )
            )
            cost_s = clock.elapsed_s() - before
        return rounds

    @cached_property
    def backbone(self) -> PreparedBackbone:
        """Our backbone, converted; its bundled weights, so that no network is needed."""
        say("converting our backbone")
        console = Console(quiet=True)
        return prepare_backbone(find_backbone(ARCHITECTURE), self._place / "models", offline=True, console=console)

    @cached_property
    def sides(self) -> dict[str, Side]:
        """Who takes part; who does not goes to `missing` with the reason."""
        found: dict[str, Side] = {"ours": Ours(self.backbone, self._make("ours"))}
        openers = (self._codelab, self._codelab_kept, self._keras, self._torch)
        for name, open_side in zip(PEERS, openers, strict=True):
            side = open_side()
            if isinstance(side, str):
                self.missing[name] = side
            else:
                found[name] = side
        return found

    def _codelab(self) -> Side | str:
        script, python = self._arguments.codelab_retrain, self._arguments.tf115_python
        if script is None:
            return f"not measured: --codelab_retrain was not given; {_HOW_TO}"
        if python is None:
            return f"not measured: neither --tf115_python nor RETRAIN_TF115_PYTHON was given; {_HOW_TO}"
        if not (self._tensorflow or "").startswith("1."):
            return f"not measured: expected TensorFlow 1.15 in {python.name}, got {self._tensorflow}; {_HOW_TO}"
        codelab = Codelab(python, script, self._arguments.codelab_label)
        return CodelabSide(codelab, self.backbone.weights.path, self._make("codelab"))

    def _codelab_kept(self) -> Side | str:
        if self._arguments.codelab_label is None:
            return f"not measured: --codelab_label was not given; {_HOW_TO}"
        return CodelabKeptSide(self._arguments.codelab_label, self._place / "ours")

    def _keras(self) -> Side | str:
        if find_spec("tensorflow") is None or find_spec("keras") is None:
            return "not installed: python -m pip install tensorflow"
        side = KerasSide(self.backbone, self._make("keras"))
        self._stack.callback(side.close)
        return side

    def _torch(self) -> Side | str:
        if self._torch_version is None:
            return "not installed: python -m pip install torch torchvision scikit-learn (or give --torch_python)"
        return TorchSide(self._arguments.torch_python)

    @cached_property
    def _tensorflow(self) -> str | None:
        return tensorflow_version(self._arguments.tf115_python) if self._arguments.tf115_python else None

    @cached_property
    def _torch_version(self) -> str | None:
        words = [str(self._arguments.torch_python), "-c", _TORCH_VERSIONS]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    @cached_property
    def photographs(self) -> Photographs:
        """The set of most cases."""
        return self._laid_out("photographs", self._scale.photographs)

    @cached_property
    def few(self) -> Photographs:
        """A set just large enough to train something on."""
        return self._laid_out("few", self._scale.few)

    @cached_property
    def large(self) -> Photographs:
        """Photographs of a camera's size."""
        say(f"enlarging {self._scale.large} photographs to {LARGE_SIZE[0]}x{LARGE_SIZE[1]}")
        folder = self._place / "large"
        return Photographs(folder, lay_out_large(self._arguments.photographs, folder, self._scale.large, LARGE_SIZE))

    def _laid_out(self, name: str, photographs: int) -> Photographs:
        folder = self._place / name
        number = lay_out(self._arguments.photographs, folder, photographs)
        sleep(SETTLE_S)
        return Photographs(folder, number)

    def _make(self, name: str) -> Path:
        folder = self._place / name
        folder.mkdir()
        return folder

    def peer_facts(self) -> dict[str, Any]:
        """Say what the peers were."""
        scripts = (self._arguments.codelab_retrain, self._arguments.codelab_label)
        hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in scripts if path is not None}
        versions = {"tensorflow_1": self._tensorflow, "torch_and_torchvision": self._torch_version}
        return {**versions, "codelab_sha256": hashes, "missing": self.missing}


def _keep(samples: Samples, answer: Answer) -> None:
    for figure, sample in answer.items():
        samples.setdefault(figure, []).append(sample)


if __name__ == "__main__":
    sys.exit(main())
