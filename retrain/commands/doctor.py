"""``python -m retrain doctor``: what is wrong with a folder of photographs, before anything is trained on it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from retrain import fsio, storage
from retrain.backbones import find_backbone
from retrain.commandline import Parser
from retrain.commands.common import add_model_dir, command_parser, read_flags
from retrain.config import RunConfig
from retrain.config.inputs import input_problems
from retrain.console import Console, printable
from retrain.errors import UsageError

OUTPUT_DIR = "tf_files/doctor"
STRICT_EXIT_CODE = 1
_FROM_RUN = (
    "image_dir", "image_list", "recursive", "label_style", "max_skipped_percentage", "architecture", "model_dir",
    "bottleneck_dir",
)  # fmt: skip

_DESCRIPTION = """\
Look at a folder of photographs before anything is trained on it: how its folders lie, what each file is by its
bytes, whether it decodes, what is there twice, what gives a class away, and how long a run would take. Nothing in
the folder is changed, nothing is fetched.

    python -m retrain doctor --image_dir tf_files/cluster_photos

Writes doctor.json, bad_images.csv and duplicates.csv into --output_dir, and fills the bottleneck cache as a run does.
Exit codes: 0 looked at; with --strict, 1 where anything would stop a run or cost accuracy; 2 something asked for
cannot be done."""


def doctor(words: Sequence[str], console: Console) -> int:
    """Look at a folder of photographs, say and write what was found."""
    given = read_flags(_parser(), words)
    config = RunConfig(**{name: getattr(given, name) for name in _FROM_RUN})
    _check(config, given.output_dir)
    from retrain.doctor import bad_images_csv, diagnose, is_serious, report_json, terminal_lines

    folder = Path(given.output_dir)
    report = diagnose(config, console, None if given.no_features else folder)
    console.line("\n".join(terminal_lines(report)))
    files = {
        "doctor.json": report_json(report),
        "bad_images.csv": bad_images_csv(report.bad),
        "duplicates.csv": report.duplicates,
    }
    fsio.write_together({str(folder / name): text.encode(errors="backslashreplace") for name, text in files.items()})
    console.line("Wrote " + ", ".join(printable(str(folder / name)) for name in files))
    return STRICT_EXIT_CODE if given.strict and is_serious(report.findings) else 0


def _parser() -> Parser:
    parser = command_parser("doctor", _DESCRIPTION)
    usual = RunConfig()
    parser.add_argument("--image_dir", default="", metavar="DIR", help="folder, URL or archive, as of a run (required)")
    parser.add_argument("--image_list", default="", metavar="FILE", help="CSV of path,label, as of a run")
    parser.add_argument("--recursive", action="store_true", help="as of a run")
    parser.add_argument(
        "--output_dir",
        default=OUTPUT_DIR,
        metavar="DIR",
        help=f"folder of what is written (default: {OUTPUT_DIR})",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit code 1 where anything would stop a run or cost accuracy"
    )
    parser.add_argument(
        "--no_features",
        action="store_true",
        help="leave the bottlenecks out: faster where they are not cached; near duplicates are found by looks alone",
    )
    parser.add_argument(
        "--label_style", choices=("folder", "poets"), default=usual.label_style, help="as of a run (default: folder)"
    )
    parser.add_argument(
        "--max_skipped_percentage",
        type=_percentage,
        default=usual.max_skipped_percentage,
        metavar="X",
        help=f"as of a run (default: {usual.max_skipped_percentage:g})",
    )
    parser.add_argument(
        "--architecture",
        default=usual.architecture,
        metavar="NAME",
        help=f"backbone whose run time is predicted (default: {usual.architecture})",
    )
    parser.add_argument(
        "--bottleneck_dir",
        default=usual.bottleneck_dir,
        metavar="DIR",
        help=f"cache that is looked into for the prediction (default: {usual.bottleneck_dir})",
    )
    add_model_dir(parser)
    return parser


def _percentage(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected 0 to 100, got {text}; 5 is usual")
    return value


def _check(config: RunConfig, output_dir: str) -> None:
    problems = []
    if not storage.is_folder(config.image_dir):
        problems += input_problems(config)
    try:
        find_backbone(config.architecture)
    except UsageError as error:
        problems += error.problems
    hindrance = fsio.why_not_writable(output_dir, folder=True)
    if hindrance:
        problems.append(f"cannot write --output_dir={output_dir}: {hindrance}; choose another place")
    place = storage.local_path(config.image_dir)
    if place and Path(os.path.abspath(output_dir)).is_relative_to(os.path.abspath(place)):
        problems.append(
            f"--output_dir={output_dir} lies inside --image_dir={config.image_dir}, where every folder is a class; "
            "choose a place outside"
        )
    if problems:
        raise UsageError(problems)
