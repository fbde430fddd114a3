"""``python -m retrain separate``: files that lie in one folder go into class folders, by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from retrain.commandline import Parser
from retrain.commands.common import command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import UsageError
from retrain.getting.separating import DEFAULT_PATTERN, Plan, apply_plan, plan_separation, undo_separation

_DESCRIPTION = """\
Sort the photographs of one folder into class folders, by their names:

    DIR/cat.123.jpg  ->  DIR/cat/cat.123.jpg
    DIR/dog_7.jpg    ->  DIR/dog/dog_7.jpg

Without --apply it only says what it would do. Nothing is ever replaced; --undo puts everything back."""
_SHOWN = 20


def separate(words: Sequence[str], console: Console) -> int:
    """Plan, do or undo a separation."""
    given = read_flags(_parser(), words)
    if given.undo:
        if given.apply or given.lower or given.pattern != DEFAULT_PATTERN:
            raise UsageError("expected --undo alone, got it with --apply, --lower or --pattern; leave those out")
        return _undo(given.folder, console)
    plan = plan_separation(given.folder, given.pattern, lower=given.lower)
    _show(plan, console, applied=given.apply)
    if plan.problems:
        raise UsageError(plan.problems)
    if given.apply:
        count = apply_plan(plan)
        console.line(f"{count} files moved; python -m retrain separate {printable(given.folder)} --undo puts them back")
    elif plan.moves:
        console.line("nothing was moved; the same command with --apply does it")
    return 0


def _parser() -> Parser:
    parser = command_parser("separate", _DESCRIPTION)
    parser.add_argument("folder", metavar="DIR", help="folder with the photographs")
    pattern = "regular expression with a group (?P<label>...), matched at the start of the file name (default: what "
    pattern += "stands before the first dot, underscore or digit)"
    parser.add_argument("--pattern", default=DEFAULT_PATTERN, metavar="REGEX", help=pattern)
    parser.add_argument("--lower", action="store_true", default=False, help="labels in small letters")
    parser.add_argument("--apply", action="store_true", default=False, help="move the files")
    parser.add_argument("--undo", action="store_true", default=False, help="put back what was moved")
    return parser


def _show(plan: Plan, console: Console, *, applied: bool) -> None:
    for label, count in plan.count_by_label().items():
        console.line(f"{label}: {count} files")
    if not applied:
        for move in plan.moves[:_SHOWN]:
            console.line(f"  {printable(move.name)} -> {move.label}/{printable(move.name)}")
        if len(plan.moves) > _SHOWN:
            console.line(f"  ... and {len(plan.moves) - _SHOWN} more")
    if not plan.moves:
        console.line("no file to move")
    for why, count in Counter(plan.left.values()).most_common():
        console.line(f"left where they are: {count}, {printable(why)}")
    for name, why in plan.left.items():
        console.line(f"  left: {printable(name)}: {printable(why)}")


def _undo(folder: str, console: Console) -> int:
    count, gone = undo_separation(folder)
    console.line(f"{count} files put back")
    for name in gone:
        console.warn(f"{printable(name)} is no longer where it was put, so it was not put back")
    return 0
