"""``python -m retrain fix``: photographs in the wrong class folder are moved, and the run is done again."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from retrain import storage
from retrain.commandline import Parser
from retrain.commands.common import command_parser, read_flags
from retrain.commands.compare import show_change
from retrain.config import RunConfig
from retrain.config.inputs import archive_kind
from retrain.console import Console, printable
from retrain.dataset import find_photographs
from retrain.errors import ModelError, UsageError
from retrain.insight.carrying import undo_fix
from retrain.insight.changes import compare_runs
from retrain.insight.fixing import FixPlan, apply_fix, plan_fix
from retrain.insight.predictions import Predictions, read_predictions
from retrain.publish.told import metrics_path, told_config

_DESCRIPTION = """\
Move photographs to the class folders that they belong in, train again as the run did, and say what that changed:

    python -m retrain fix --apply moves.csv --dry_run          says what it would do
    python -m retrain fix --apply moves.csv                    moves, trains, compares
    python -m retrain fix --undo                               puts the last fix back, trains, compares

The table has the columns path (below the image folder) and to (a class); or it is the run's suspects.csv, in whose
column accept a person has written yes. All rows are checked before the first file moves; nothing is ever replaced."""
_GRAPH = RunConfig().output_graph
_SHOWN = 20


def fix(words: Sequence[str], console: Console) -> int:
    """Plan, do or undo a fix."""
    given = read_flags(_parser(), words)
    problems = _flag_problems(given)
    config, faults = _config_of(given)
    if problems or faults or config is None:
        raise UsageError(problems + faults)
    if given.undo:
        _undo(config, console)
    else:
        plan = _plan(given.apply, config)
        _show(plan, console)
        if plan.problems:
            raise UsageError(plan.problems)
        if given.dry_run:
            console.line("nothing was moved; the same command without --dry_run does it")
            return 0
        count = apply_fix(plan)
        console.line(f"{count} files moved; {_undoing(config)} puts them back")
    if not given.no_refit:
        _refit(config, console)
    return 0


def _undoing(config: RunConfig) -> str:
    graph = "" if config.output_graph == _GRAPH else f" --graph {shlex.quote(printable(config.output_graph))}"
    return f"python -m retrain fix{graph} --image_dir {shlex.quote(printable(config.image_dir))} --undo"


def _parser() -> Parser:
    parser = command_parser("fix", _DESCRIPTION)
    add = parser.add_argument
    add("--apply", default="", metavar="CSV", help="table of what goes where: path,to, or an edited suspects.csv")
    add("--undo", action="store_true", default=False, help="put back what the last fix moved")
    add("--dry_run", action="store_true", default=False, help="only say what --apply would do")
    add("--graph", default=_GRAPH, metavar="FILE", help=f"the run's model (default: {_GRAPH})")
    add("--image_dir", default="", metavar="DIR", help="the photographs (default: where the run had them)")
    add("--no_refit", action="store_true", default=False, help="move the files and do not train again")
    return parser


def _flag_problems(given: argparse.Namespace) -> list[str]:
    problems = []
    if bool(given.apply) == given.undo:
        what = "both" if given.undo else "neither"
        problems.append(f"expected --apply CSV or --undo, got {what}; see --help")
    if given.undo and given.dry_run:
        problems.append("expected --dry_run with --apply, got it with --undo; leave it away")
    if given.apply and not Path(given.apply).is_file():
        problems.append(f"expected --apply to be a file, but {printable(given.apply)} is none; check the spelling")
    return problems


def _config_of(given: argparse.Namespace) -> tuple[RunConfig | None, list[str]]:
    """Read what the run was told, and say why its photographs cannot be moved."""
    if given.no_refit and given.image_dir and not metrics_path(given.graph).exists():
        config = RunConfig()  # there was no run yet
    else:
        try:
            config = told_config(given.graph)
        except ModelError as error:
            return None, [str(error)]
    config = dataclasses.replace(config, image_dir=given.image_dir or config.image_dir, output_graph=given.graph)
    return config, _folder_problems(config, refit=not given.no_refit)


def _folder_problems(config: RunConfig, *, refit: bool) -> list[str]:
    image_dir, problems = config.image_dir, []
    if config.multi_label and not config.image_list:
        problems.append(
            "the run's photographs have several labels (--multi_label), from the text files beside them: mend those; "
            "no folder says what a photograph is"
        )
    if config.image_list:
        problems.append(
            f"the run's photographs are those of --image_list={config.image_list}, whose rows say what they are: mend "
            "them there"
        )
    elif not image_dir or storage.is_url(image_dir) or archive_kind(image_dir) or not Path(image_dir).is_dir():
        problems.append(
            f"expected the photographs in a folder on this machine, whose files can be moved, got {_shown(image_dir)}; "
            "name it with --image_dir"
        )
    if config.split_file and refit:
        problems.append(
            f"the run's --split_file={config.split_file} names photographs by their paths, which moving changes; give "
            "--no_refit, mend its rows and train again"
        )
    return problems


def _shown(path: str) -> str:
    return printable(path) or "nothing"


def _plan(table: str, config: RunConfig) -> FixPlan:
    problems, catalog = find_photographs(config)
    if problems or catalog is None:
        raise UsageError(problems or [f"expected class folders in {_shown(config.image_dir)}"])
    return plan_fix(table, catalog)


def _show(plan: FixPlan, console: Console) -> None:
    for (source, target), count in plan.count_by_class().items():
        console.line(f"{printable(source)} -> {printable(target)}: {count} files")
    for one in plan.corrections[:_SHOWN]:
        console.line(f"  {printable(one.old)} -> {printable(one.new)}")
    if len(plan.corrections) > _SHOWN:
        console.line(f"  ... and {len(plan.corrections) - _SHOWN} more")
    if plan.passed_over:
        console.line(f"passed over: {plan.passed_over} rows that are not accepted")


def _undo(config: RunConfig, console: Console) -> None:
    count, gone = undo_fix(config.image_dir)
    console.line(f"{count} files put back")
    for name in gone:
        console.warn(f"{printable(name)} is no longer where it was put, so it was not put back")


def _refit(config: RunConfig, console: Console) -> None:
    from retrain.run import run  # half of the program, which only moving files does not need

    before = _earlier(config, console)
    run(config, console)
    if before is not None:
        show_change(compare_runs(before, read_predictions(config.output_graph)), console)


def _earlier(config: RunConfig, console: Console) -> Predictions | None:
    try:
        return read_predictions(config.output_graph)
    except ModelError as error:
        console.warn(f"what the fix changes cannot be shown: {error}")
        return None
