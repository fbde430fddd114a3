"""Ends a process that changes a folder, at random moments, and sees that nothing is lost and that undo puts it right.

    python tests/studio/studio_kills.py 200 3       how often, and the seed

A process of its own, because it forks: whoever starts it may have threads.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import encode, noise

from retrain.dataset import Catalog, scan_folder
from retrain.errors import UsageError
from retrain.insight.carrying import REMOVED
from retrain.insight.corrections import JOURNAL, last_fix
from retrain.studio import editing

OWN = (JOURNAL, ".fixing.lock")
CLASSES = ("a", "b", "c")
PHOTO_BYTES = encode(noise(8, 8))
UPLOADS = [encode(noise(8, 8, seed)) for seed in range(40)]


def scan(root: Path) -> Catalog:
    """Look at the folder."""
    return scan_folder(str(root), "folder")


def files(root: Path) -> dict[str, bytes]:
    """Read every file that is not the studio's own, by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name not in OWN
    }


def photographs(root: Path) -> dict[str, bytes]:
    """The same, but for what was taken out, and what a killed write left."""
    return {
        path: data
        for path, data in files(root).items()
        if not path.startswith(REMOVED) and not path.rsplit("/", 1)[-1].startswith(".")
    }


def folders(root: Path) -> set[str]:
    """Name the class folders."""
    return {path.name for path in root.iterdir() if path.is_dir() and path.name != REMOVED}


def grow(root: Path, each: int = 5) -> Path:
    """Make classes of files of different contents."""
    for name in CLASSES:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            (root / name / f"{number}.jpg").write_bytes(f"{name} {number}".encode())
    return root


def change(root: Path, dice: random.Random) -> None:
    """Make one change out of all kinds; one that is refused is none."""
    catalog = scan(root)
    paths = [one.path for one in catalog.records]
    some = dice.sample(paths, min(len(paths), dice.randint(1, 6)))
    one, other = dice.choice(CLASSES), dice.choice([*CLASSES, "new"])
    kinds: list[Callable[[], object]] = [
        lambda: editing.move_photographs(catalog, some, other),
        lambda: editing.take_out(catalog, some),
        lambda: editing.merge_classes(catalog, one, other),
        lambda: editing.rename_class(root, one, "renamed"),
        lambda: editing.make_class(root, "new"),
        lambda: editing.add_photographs(root, other, _uploads(dice), catalog),
        lambda: editing.undo(root),
    ]
    try:
        dice.choice(kinds)()
    except UsageError:
        return


def _uploads(dice: random.Random) -> list[tuple[str, Callable[[], bytes]]]:
    return [("up.png", lambda data=data: data) for data in dice.sample(UPLOADS, 3)]


def kill_one(root: Path, dice: random.Random) -> bool:
    """Have a child change the folder until it is killed, then put it right; says whether there was anything to do."""
    start = Counter(files(root).values())
    child = os.fork()
    if not child:
        while True:
            change(root, dice)
    time.sleep(dice.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _nothing_lost(root, start)
    had = False
    while last_fix(root)[0]:
        had = True
        back, gone = editing.undo(root)
        assert gone == [], (back, gone)
        _nothing_lost(root, start)
    return had


def _nothing_lost(root: Path, start: Counter[bytes]) -> None:
    now = Counter(data for path, data in files(root).items() if data and not path.endswith(".tmp"))
    came = now - start
    assert not start - now, f"lost: {start - now}"
    assert set(came) <= set(UPLOADS), f"came from nowhere: {came}"


def main(kills: int, seed: int) -> int:
    """Kill so many times."""
    dice, undone = random.Random(seed), 0
    for _ in range(kills):
        root = grow(Path(tempfile.mkdtemp(prefix="studio-kills-")))
        try:
            before = photographs(root)
            undone += kill_one(root, dice)
            now = {path: data for path, data in photographs(root).items() if data}
            assert now == before, now.keys() ^ before.keys()
            assert editing.move_photographs(scan(root), ["a/0.jpg"], "b") == 1  # it goes on
        finally:
            shutil.rmtree(root)
    print(f"{kills} kills, {undone} of them with something to undo")
    return 0 if undone > kills // 4 else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
