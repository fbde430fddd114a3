"""Sets of photographs that hypothesis draws, small and odd, and whole fake runs on them: the quick test's and the soak's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from trees import PHOTO, TREES, grow
from trees_runs import Runs, photograph

# What one class holds: "new" is a photograph of its own, "same" the one of the whole set, "copy" that of the class.
KINDS = st.sampled_from(["new", "new", "new", "same", "copy", "cut", "no image", "empty", "text", "hidden", "sub"])
_CLASSES = st.lists(st.lists(KINDS, max_size=7), max_size=6)
_SOUND = st.lists(st.lists(KINDS, max_size=6).map(lambda kinds: ["new", *kinds]), min_size=2, max_size=6)
_SAME = st.integers(1, 5).flatmap(lambda each: st.lists(st.just(["same"] * each), min_size=2, max_size=4))
_COUNTS = st.lists(st.integers(0, 4).map(lambda count: ["new"] * count), max_size=4)
SETS = st.one_of(_SOUND, _SOUND, _SOUND, _CLASSES, _SAME, _COUNTS)
_SPLIT = st.fixed_dictionaries(
    {},
    optional={
        "testing_percentage": st.sampled_from([0, 1, 33, 50]),
        "validation_percentage": st.sampled_from([0, 1, 40]),
        "cross_validation_folds": st.sampled_from([0, 2, 5, 40]),
        "split_rule": st.just("poets"),
        "label_style": st.just("poets"),
        "near_duplicates": st.just("ignore"),
    },
)
_SKIPPED = st.sampled_from([{"max_skipped_percentage": 100}, {"max_skipped_percentage": 100}, {}])
_TRAINING = st.sampled_from(
    # A fake run's graphs are run by NumPy, which knows the operations of this head and the usual one.
    [{}, {"train_batch_size": 1}, {"train_batch_size": 1000}, {"how_many_training_steps": 1}, {"head": "logistic"}]
)
FLAGS = st.tuples(_SPLIT, _SKIPPED, _TRAINING).map(lambda drawn: {**drawn[0], **drawn[1], **drawn[2]})
# Any tree at all, as of the unit test that begins a run on each.
ANY_TREE = TREES
_CONTENT = {"cut": lambda: PHOTO[:80], "no image": lambda: b"<html>", "empty": lambda: b"", "text": lambda: b"notes"}
_NAMES = {"text": "{0}.txt", "hidden": ".{0}.png"}


def _without_jpeg(tree: dict[str, Any]) -> dict[str, Any]:
    """Put a PNG in place of each JPEG: a fake run has nobody who decodes these in the graph."""
    return {
        name: _without_jpeg(what)
        if isinstance(what, dict)
        else (what[0], PHOTO if what[1].startswith(b"\xff\xd8\xff") else what[1])
        for name, what in tree.items()
    }


def lay_out(root: Path, classes: list[list[str]]) -> None:
    """Make class folders.

    Args:
        root: the image folder.
        classes: for each the kinds of its files, as of KINDS.
    """
    for number, kinds in enumerate(classes):
        folder = root / f"class {number}"
        folder.mkdir()
        for index, kind in enumerate(kinds):
            if kind == "sub":
                (folder / f"sub {index}").mkdir()
                continue
            path = folder / _NAMES.get(kind, "{0}.png").format(index)
            seed = {"same": 1, "copy": 2 + number}.get(kind, 100 + 10 * number + index)
            path.write_bytes(_CONTENT[kind]() if kind in _CONTENT else photograph(seed))


def flag_words(flags: dict[str, Any]) -> list[str]:
    """Write drawn flags as a command line has them."""
    return [f"--{name}={value}" for name, value in flags.items()]


def run_on_set(runs: Runs, classes: list[list[str]], flags: dict[str, Any]) -> int:
    """Run on a drawn set.

    Args:
        runs: where.
        classes: as of SETS.
        flags: as of FLAGS.

    Returns:
        The exit code, which is one that it may end with.
    """
    lay_out(runs.fresh(), classes)
    return runs.run(*flag_words(flags)).code


def run_on_tree(runs: Runs, tree: dict[str, Any], flags: dict[str, Any], *, recursive: bool) -> int:
    """Run on a drawn tree, beside two classes that can be trained on.

    Args:
        runs: where.
        tree: as of ANY_TREE.
        flags: as of FLAGS.
        recursive: whether folders below class folders belong to it.

    Returns:
        The exit code, which is one that it may end with.
    """
    root = runs.fresh()
    lay_out(root, [["new"] * 3, ["new"] * 3])
    beside = runs.place / "beside"
    beside.mkdir()
    grow(root / "class 0", _without_jpeg(tree), beside)
    if os.path.lexists(root / "class 0" / "class 1"):
        return runs.run(*flag_words(flags)).code
    return runs.run(*flag_words(flags), *(["--recursive"] if recursive else [])).code
