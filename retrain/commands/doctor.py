"""``python -m retrain doctor``: what is wrong with a folder of photographs, before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from retrain import fsio, storage
from retrain.backbones import find_backbone
from retrain.commandline import Parser
from retrain.commands.common import add_model_dir, add_photographs, command_parser, read_flags
from retrain.config import RunConfig
from retrain.config.flag import Flag
from retrain.config.inputs import input_problems
from retrain.config.multilabel import multi_label_problems
from retrain.config.sky import sky_problems
from retrain.console import Console, printable
from retrain.errors import UsageError

OUTPUT_DIR = "tf_files/doctor"
STRICT_EXIT_CODE = 1
# Flags of the split, taken from the table of a run's flags.
_SPLIT = (
    "testing_percentage", "validation_percentage", "split_rule", "group_by", "split_file", "subfolder_splits",
    "near_duplicates",
)  # fmt: skip
_SKY = ("sky_limits", "sky_percentile", "sky_stretch", "sky_asinh_a")
_FROM_RUN = (
    "image_dir", "image_list", "recursive", "multi_label", "archive_max_files", "archive_max_mb", "label_style",
    "max_skipped_percentage", "architecture", "model_dir", "bottleneck_dir", "verify_cache", *_SPLIT, *_SKY,
)  # fmt: skip

_DESCRIPTION = """\
Look at a folder of photographs before anything is trained on it: how its folders lie, what each file is by its
bytes, whether it decodes, what is there twice, and on two sides of the split that a run would draw, what gives a class
away, and how long a run would take. Nothing in the folder is changed, nothing is fetched.

    python -m retrain doctor --image_dir tf_files/cluster_photos

Writes doctor.json, bad_images.csv and duplicates.csv into --output_dir, and fills the bottleneck cache as a run does;
what it finds of the files is kept there, too, so that a second look reads only those that changed.
Exit codes: 0 looked at; with --strict, 1 where anything would stop a run or cost accuracy; 2 something asked for
cannot be done."""


def doctor(words: Sequence[str], console: Console) -> int:
    """Look at a folder of photographs, say and write what was found."""
    given = read_flags(_parser(), words)
    config = RunConfig(**{name: getattr(given, name) for name in _FROM_RUN})
    _check(config, given.output_dir)
    from retrain.doctor import bad_images_csv, diagnose, is_serious, report_json, terminal_lines

    folder = Path(given.output_dir)
    report = diagnose(config, console, None if given.no_features else folder, keep=True)
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
    add_photographs(parser, "folder, URL or archive, as of a run (required)")
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
        help=f"folder of the caches, what is known of the files among them (default: {usual.bottleneck_dir})",
    )
    parser.add_argument(
        "--verify_cache", action="store_true", help="read every file again, whatever is known of it from before"
    )
    add_model_dir(parser)
    _add_split(parser)
    _add_sky(parser)
    return parser


def _add_sky(parser: Parser) -> None:
    for field in (field for field in dataclasses.fields(RunConfig) if field.name in _SKY):
        flag: Flag = field.metadata["flag"]
        parser.add_argument(
            f"--{field.name}",
            type=type(field.default),
            choices=flag.choices or None,
            default=field.default,
            metavar=flag.metavar or "X",
            help=f"as of a run (default: {field.default})",
        )


def _add_split(parser: Parser) -> None:
    for field in (field for field in dataclasses.fields(RunConfig) if field.name in _SPLIT):
        flag: Flag = field.metadata["flag"]
        name, text = f"--{field.name}", f"as of a run (default: {field.default or 'none'})"
        if isinstance(field.default, bool):
            parser.add_argument(name, action="store_true", default=field.default, help="as of a run (default: on)")
            off = f"--no_{field.name}"
            parser.add_argument(
                off, dest=field.name, action="store_false", default=argparse.SUPPRESS, help="as of a run"
            )
        elif isinstance(field.default, int):
            parser.add_argument(name, type=_share, default=field.default, metavar="X", help=text)
        else:
            parser.add_argument(
                name, choices=flag.choices or None, default=field.default, metavar=flag.metavar, help=text
            )


def _share(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 99:
        raise argparse.ArgumentTypeError(f"expected 0 to 99, got {text}; 10 is usual")
    return value


def _percentage(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected 0 to 100, got {text}; 5 is usual")
    return value


def _check(config: RunConfig, output_dir: str) -> None:
    problems = []
    problems += input_problems(config)
    problems += sky_problems(config) + multi_label_problems(config)
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
            f"--output_dir={output_dir} lies inside --image_dir={config.image_dir}, where every folder is looked into; "
            "choose a place outside"
        )
    if problems:
        raise UsageError(problems)
