"""``python -m retrain fetch``: photographs from a list of addresses into class folders."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from retrain.commandline import Parser
from retrain.commands.common import command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import PartError, UsageError
from retrain.getting.addresses import Policy
from retrain.getting.download import Options, Outcome, fetch_all
from retrain.getting.lists import Wanted, read_csv, read_urls

_DESCRIPTION = """\
Get photographs from a list of addresses into class folders:

    python -m retrain fetch --urls urls.txt --label "open cluster" --image_dir tf_files/cluster_photos
    python -m retrain fetch --csv list.csv --image_dir tf_files/cluster_photos

The same command again goes on from there: what is had is never asked for again, even where you took the photograph out.
DIR/fetched.jsonl says what became of each address and where each photograph came from. Exit code 9: some could not be
had; that file says why."""
_SHOWN = 10
# Flag, default, least and largest value, what is meant.
_NUMBERS = (
    ("parallel", 8, 1, 64, "requests at once, each to another host"),
    ("pause_s", 1.0, 0.0, 3600.0, "seconds from the end of a request to the next one to its host"),
    ("per_second", 10.0, 0.001, 1000.0, "requests a second in all"),
    ("timeout_s", 10.0, 0.1, 600.0, "seconds that a connection or a block of data may take; the whole: six times"),
    ("tries", 3, 1, 20, "how often an address is asked at most"),
    ("max_megabytes", 20.0, 0.001, 100.0, "larger files are not taken"),
    ("max_megapixels", 100.0, 0.001, 100.0, "larger photographs are not taken"),
)


def fetch(words: Sequence[str], console: Console) -> int:
    """Get photographs."""
    given = read_flags(_parser(), words)
    problems = _problems(given)
    wanted: list[Wanted] = []
    try:
        if bool(given.urls) != bool(given.csv):
            wanted = read_urls(given.urls, given.label) if given.urls else read_csv(given.csv)
    except UsageError as error:
        problems += error.problems
    if problems:
        raise UsageError(problems)
    outcome = fetch_all(wanted, _options(given), console)
    _tell(outcome, console)
    if outcome.missing:
        raise PartError(
            f"{len(outcome.missing)} of {len(outcome.rows)} photographs could not be had; {outcome.manifest} says why. "
            "The same command asks again for those that failed, with --again for those that were refused, too"
        )
    return 0


def _parser() -> Parser:
    parser = command_parser("fetch", _DESCRIPTION)
    texts = (
        ("urls", "FILE", "addresses, one a line; lines that start with # are passed over"),
        ("label", "NAME", "class folder of the addresses in --urls"),
        ("csv", "FILE", "a table with the columns url and label"),
        ("image_dir", "DIR", "folder of class folders"),
        ("contact", "TEXT", "e-mail address or web page that is told to the servers; some want one"),
    )
    for name, metavar, text in texts:
        parser.add_argument(f"--{name}", default="", metavar=metavar, help=text)
    for name, default, _, _, text in _NUMBERS:
        kind = "N" if isinstance(default, int) else "X"
        parser.add_argument(f"--{name}", default=default, metavar=kind, help=f"{text} (default: {default:g})")
    switches = (
        ("allow_http", "addresses without encryption, too"),
        ("allow_private", "for servers in your own network: addresses that are not public, and any port"),
        ("again", "ask again for what was refused before"),
    )
    for name, text in switches:
        parser.add_argument(f"--{name}", action="store_true", default=False, help=text)
    return parser


def _problems(given: argparse.Namespace) -> list[str]:
    problems = []
    if bool(given.urls) == bool(given.csv):
        problems.append(f"expected --urls or --csv, got {'both' if given.urls else 'neither'}; give one of them")
    if bool(given.urls) != bool(given.label):
        problems.append("expected --label together with --urls; a --csv has its own column label")
    if not given.image_dir:
        problems.append("expected --image_dir, got none; it is the folder of class folders")
    for name, default, least, most, _ in _NUMBERS:
        kind = int if isinstance(default, int) else float
        try:
            value = kind(getattr(given, name))
        except ValueError:
            value = None
        # Written so that NaN is a problem, too.
        if value is None or not least <= value <= most:
            problems.append(f"expected --{name} from {least:g} to {most:g}, got {getattr(given, name)!r}")
        else:
            setattr(given, name, value)
    return problems


def _options(given: argparse.Namespace) -> Options:
    return Options(
        image_dir=given.image_dir,
        parallel=given.parallel,
        gap_s=given.pause_s,
        per_s=given.per_second,
        timeout_s=given.timeout_s,
        total_s=6 * given.timeout_s,
        tries=given.tries,
        max_bytes=round(given.max_megabytes * 1e6),
        max_pixels=round(given.max_megapixels * 1e6),
        contact=given.contact,
        again=given.again,
        policy=Policy(allow_http=given.allow_http, allow_private=given.allow_private),
    )


def _tell(outcome: Outcome, console: Console) -> None:
    if not outcome.rows:
        console.line("the list is empty")
    counts = ", ".join(f"{count} {status}" for status, count in outcome.count_by_status().items())
    if counts:
        before = len(outcome.rows) - outcome.asked
        console.line(f"{counts}; {before} of these settled in an earlier run")
    for row in outcome.missing[:_SHOWN]:
        console.line(f"  {row.status}: {printable(row.url)}: {printable(row.reason)}")
    if len(outcome.missing) > _SHOWN:
        console.line(f"  ... and {len(outcome.missing) - _SHOWN} more")
