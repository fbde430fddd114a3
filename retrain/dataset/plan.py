"""What is decided of the split by names, before any photograph is read: sides by file or folder, and groups."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from retrain.config import RunConfig
from retrain.config.splits import parse_group_by
from retrain.console import printable
from retrain.dataset.catalog import Catalog
from retrain.dataset.groups import named_groups
from retrain.dataset.sides import SIDE_NAMES, TRAINING
from retrain.dataset.split_file import SplitFile, hash_photographs, other_contents, read_split_file
from retrain.errors import UsageError


@dataclass(frozen=True)
class SplitPlan:
    """What is decided by names; photographs that a plan does not know are placed by the rule.

    Args:
        file: what --split_file says.
        groups: path -> name of its group, for those that have one; None: no groups are used.
        by: what made the groups, as it was typed.
        notes: sentences a person should read.
    """

    file: SplitFile = field(default_factory=SplitFile)
    groups: Mapping[str, str] | None = None
    by: str = ""
    notes: tuple[str, ...] = ()


def plan_problems(config: RunConfig, catalog: Catalog) -> list[str]:
    """Find all that is wrong with what decides the sides by name, contents included where they are on a disk.

    Args:
        config: what a run is told; what its own checks find is not said again.
        catalog: all photographs.

    Returns:
        One sentence a problem.
    """
    file = config.split_file if os.path.isfile(config.split_file) else ""  # noqa: PTH113
    plan, problems = plan_split(catalog, config.group_by, file, config.split_rule)
    expected = plan.file.sha256s
    return problems + other_contents(file, expected, hash_photographs(catalog, tuple(expected)))


def plan_of(config: RunConfig, catalog: Catalog, kept: Catalog, sha256s: Sequence[bytes]) -> SplitPlan:
    """Make the plan of a run whose photographs are read.

    Args:
        config: what the run is told.
        catalog: all photographs.
        kept: those that could be read.
        sha256s: the hash of each of these.

    Returns:
        The plan.

    Raises:
        UsageError: a file changed since it was checked, or a photograph under a URL is not what the file says.
    """
    plan, problems = plan_split(catalog, config.group_by, config.split_file, config.split_rule)
    here = {record.path: sha for record, sha in zip(kept.records, sha256s, strict=True)} if plan.file.sha256s else {}
    problems += other_contents(config.split_file, plan.file.sha256s, here)
    if problems:
        raise UsageError(problems)
    return plan


def with_days(plan: SplitPlan, catalog: Catalog, days: Sequence[str]) -> SplitPlan:
    """Group photographs by the day on which they were taken.

    Args:
        plan: of --group_by=exif_date.
        catalog: the photographs.
        days: of each, empty where it is not known.

    Returns:
        The plan with these groups.

    Raises:
        UsageError: no photograph has a date, or all have the same.
    """
    groups = {record.path: day for record, day in zip(catalog.records, days, strict=True) if day}
    if useless := _useless_groups(catalog, groups, plan.by):
        raise UsageError(useless)
    return replace(plan, groups=groups)


def plan_split(
    catalog: Catalog, group_by: str = "", split_file: str = "", split_rule: str = "content"
) -> tuple[SplitPlan, list[str]]:
    """Read what is decided by names, without opening a photograph.

    Args:
        catalog: all photographs.
        group_by: see config.splits; a rule that cannot be read makes no groups here.
        split_file: path of a CSV that decides sides; empty: none.
        split_rule: "content" or "poets".

    Returns:
        The plan, and one sentence a problem.
    """
    file, problems = read_split_file(split_file, catalog) if split_file else (SplitFile(), [])
    groups, by = file.groups, f"the column group of {split_file}"
    if groups and split_rule == "poets":
        problems.append(
            f"got groups in {split_file} and --split_rule=poets, which places each path by itself; leave the flag or "
            "the column away"
        )
    rule = parse_group_by(group_by)
    if group_by and not isinstance(rule, str):
        if groups:
            problems.append(
                f"got --group_by={group_by} and groups in {split_file}; leave one of them away, the flag or the column"
            )
        groups, strange = named_groups(catalog, rule)
        by = f"--group_by={group_by}"
        problems += strange
        if rule.kind != "exif_date" and not strange:
            problems += _useless_groups(catalog, groups, by)
    problems += _untrained(catalog, file, split_file)
    notes = [_unnamed(catalog, file, split_file)] if split_file else []
    plan = SplitPlan(file, groups, by if groups is not None else "", tuple(filter(None, notes)))
    return plan, problems


def _useless_groups(catalog: Catalog, groups: Mapping[str, str], by: str) -> list[str]:
    """Refuse groups that group nothing, or everything: both mean that the rule does not fit the names."""
    if not catalog.records:
        return []
    example = printable(catalog.path_of_class(catalog.records[0]))
    if not groups:
        return [f"{by} finds no group for any photograph, such as {example!r}; use another rule, or none"]
    if len(groups) == len(catalog.records) and len(set(groups.values())) == 1:
        return [f"{by} puts all {len(groups)} photographs into one group, which cannot be split; use another rule"]
    return []


def _untrained(catalog: Catalog, file: SplitFile, path: str) -> list[str]:
    """Refuse a class that the file gives nothing to train on, and no photograph that could be given."""
    if not file.sides:
        return []
    trained = {
        label
        for record in catalog.records
        for label in catalog.set_of(record)
        if file.sides.get(record.path, catalog.side_of(record) or TRAINING) == TRAINING
    }
    return [
        f"--split_file={path} leaves class {printable(name)!r} no photograph to train on; put one on training"
        for label, name in enumerate(catalog.labels)
        if label not in trained
    ]


def _unnamed(catalog: Catalog, file: SplitFile, path: str) -> str:
    missing = [record.path for record in catalog.records if record.path not in file.sides]
    if not missing:
        return ""
    how = "their folders" if catalog.side_folders else "--split_rule"
    return (
        f"{len(missing)} of {len(catalog.records)} photographs are not in {path}, such as {printable(missing[0])!r}: "
        f"placed by {how}"
    )


def sides_in_words(sides: set[int]) -> str:
    """Name sides.

    Args:
        sides: of SIDE_NAMES.

    Returns:
        Words, training first.
    """
    return " and ".join(SIDE_NAMES[side] for side in sorted(sides))
