"""Folder trees that nobody would make, for hypothesis: what a run and the doctor must get through without a traceback."""

import contextlib
import os
import stat
from pathlib import Path

from hypothesis import strategies as st
from support import encode, noise

PHOTO = encode(noise(40, 40))
SOUND = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
NAMES = st.one_of(
    st.sampled_from(
        ["train", "test", "Cats", "cats", "-dash", "[x]", "=1+1", "new\nline", "e\u0301", "\u00e9", "x" * 250, ".hidden",
         "bottlenecks", "a b", "a_b", "~", "*", "\udcff", "\udcff\udcfe", "\x1b[31m"]
    ),
    SOUND,
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) < 252)  # fmt: skip
SUFFIXES = st.sampled_from(["", ".jpg", ".PNG", ".gif", ".txt", ".tif", ".pb", ".webp"])
CONTENTS = st.one_of(
    st.sampled_from([PHOTO, encode(noise(40, 40), "JPEG"), PHOTO[:60], b"", b"<html>", b"II*\0", b"GIF89a"]),
    st.binary(max_size=30),
)
KINDS = st.sampled_from(["file", "file", "file", "pipe", "socket", "gone", "loop", "up", "out", "peer", "endless"])
FILES = st.dictionaries(st.tuples(NAMES, SUFFIXES).map("".join), st.tuples(KINDS, CONTENTS), max_size=4)
TREES = st.recursive(FILES, lambda inner: st.dictionaries(NAMES, st.one_of(inner, FILES), max_size=4), max_leaves=6)

# Two classes that can be trained on, with one of those above among their photographs.
_SOUND_CLASS = st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True).map(
    lambda seeds: {f"{seed}.png": ("file", encode(noise(40, 40, seed))) for seed in seeds}
)
CLASSES = st.tuples(_SOUND_CLASS, _SOUND_CLASS, TREES).map(
    lambda drawn: {"cats": {**drawn[0], **drawn[2]}, "dogs": drawn[1]}
)


def grow(root: Path, tree, beside: Path) -> None:
    """Make a tree: name -> what is in a folder, or the kind and contents of a file; a name that is taken is passed over."""
    for name, what in tree.items():
        path = root / name
        if os.path.lexists(path) or len(os.fsencode(name)) > 255:
            continue
        if isinstance(what, dict):
            path.mkdir()
            grow(path, what, beside)
            continue
        kind, content = what
        if kind == "file":
            path.write_bytes(content)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            with contextlib.suppress(PermissionError):  # macOS lets only root do so
                os.mknod(path, stat.S_IFSOCK | 0o600)
        else:
            targets = {"gone": "nowhere", "loop": name, "up": "..", "out": beside, "peer": ".", "endless": "/dev/zero"}
            path.symlink_to(targets[kind])
