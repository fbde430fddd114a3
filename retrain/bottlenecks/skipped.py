"""Files that are not part of a run: counted, listed and bounded, never silently replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.console import printable
from retrain.dataset import Catalog
from retrain.dataset.tables import guarded, table_text
from retrain.errors import ImageError


@dataclass(frozen=True)
class Skipped:
    """A file that is not part of the run.

    Args:
        path: relative to the image folder.
        reason: a short name shared by equal failures.
        detail: what exactly was found.
    """

    path: str
    reason: str
    detail: str


def check_skipped(skipped: Sequence[Skipped], total: int, max_percentage: float) -> None:
    """Stop when too many files cannot be read.

    Args:
        skipped: what was taken out.
        total: how many files there were.
        max_percentage: 0 to 100; one is always allowed.

    Raises:
        ImageError: there are more.
    """
    if len(skipped) <= 1 or 100.0 * len(skipped) / total <= max_percentage:
        return
    first = "; ".join(f"{printable(s.path)} ({s.reason})" for s in skipped[:3])
    raise ImageError(
        "too many images cannot be read",
        f"{len(skipped)} of {total} ({count_reasons(skipped)}), at most {max_percentage:g} % may be: {first}. "
        "Mend or remove them, or raise --max_skipped_percentage.",
    )


def check_classes(catalog: Catalog, kept: Sequence[int], skipped_list: str) -> None:
    """Stop when no photograph of a class can be read.

    Args:
        catalog: all photographs.
        kept: indices of those that can be read.
        skipped_list: path of the list of the others.

    Raises:
        ImageError: a class has none.
    """
    left = {label for i in kept for label in catalog.set_of(catalog.records[i])}
    lost = [printable(name) for label, name in enumerate(catalog.labels) if label not in left]
    if lost:
        raise ImageError(
            "a class has no image that can be read",
            f"{', '.join(lost)}; see {skipped_list}, mend them or take the class folder away",
        )


def count_reasons(skipped: Sequence[Skipped]) -> str:
    """Count skipped files by reason.

    Args:
        skipped: what was taken out.

    Returns:
        "3 damaged, 1 empty".
    """
    counts = Counter(item.reason for item in skipped)
    return ", ".join(f"{number} {reason}" for reason, number in counts.most_common())


def skipped_csv(skipped: Sequence[Skipped]) -> str:
    """List skipped files as a table.

    Args:
        skipped: what was taken out.

    Returns:
        CSV with the columns path, reason, detail; no cell is a formula for a spreadsheet.
    """
    rows = ([guarded(cell) for cell in (item.path, item.reason, item.detail)] for item in skipped)
    return table_text([["path", "reason", "detail"], *rows])
