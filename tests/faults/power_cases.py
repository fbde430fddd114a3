"""What is written here, each with what may lie on the disk when the power goes in the midst of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import fake_run
import numpy as np
from power import Disk, Tree, crash_states, lay, read_tree
from support import tiny_tflite

from retrain import fsio
from retrain.backbones import convert
from retrain.classifier import Classifier
from retrain.errors import RetrainError
from retrain.fsio import Operation, system
from retrain.images import InputSpec
from retrain.insight.corrections import Correction, append_journal, read_journal, write_journal
from retrain.label import remembered
from retrain.pixels import PixelStore
from retrain.trainer.checkpoints import Checkpoints
from retrain.trainer.progress import Progress

OLD, NEW, ABSENT, REFUSED = "old", "new", "absent", "refused"
# Names that nobody reads: temporary files, staging folders, locks; and TensorBoard's, whose records have checksums.
_UNREAD = re.compile(r"\.tmp$|\.lock$|\.staging\.|\.replaced\.|events\.out\.tfevents")


@dataclass(frozen=True)
class Case:
    """One way to write.

    Args:
        name: of it.
        before: what is there: path -> bytes.
        work: given the folder.
        target: what is looked at afterwards, a file or a folder.
    """

    name: str
    before: Tree
    work: Callable[[Path], object]
    target: str


def _in_a_stage(root: Path) -> None:
    with fsio.staging(root) as place:
        for name in ("a/model.json", "b.bin"):
            with fsio.open_staged(place / "made" / name) as file:
                file.write(name.encode() * 100)
        fsio.move_folder(place / "made", root / "deep" / "web")


def _unsynced_and_moved(root: Path) -> None:
    with fsio.open_log(root / ".part") as file:
        file.write(b"new" * 100)
    fsio.move(root / ".part", root / "deep" / "x")


def _replaced(root: Path) -> None:
    with fsio.replacing(root / "x") as file:
        file.write(b"new")
        file.write(b" and more" * 1000)


def _copied(root: Path) -> None:
    fsio.write_new(root / "deep" / "x", b"photograph" * 100)


CASES = (
    Case("write_bytes", {"x": b"old"}, lambda root: fsio.write_bytes(root / "x", b"new" * 50), "x"),
    Case("write_bytes, new folders", {}, lambda root: fsio.write_bytes(root / "a" / "b" / "x", b"new" * 50), "a/b/x"),
    Case("write_text", {"d/x": b"old"}, lambda root: fsio.write_text(root / "d" / "x", "new"), "d/x"),
    Case("replacing", {"x": b"old" * 9}, _replaced, "x"),
    Case("move", {"x": b"old", "y": b"new"}, lambda root: fsio.move(root / "y", root / "x"), "x"),
    Case("move, new folders", {"y": b"new"}, lambda root: fsio.move(root / "y", root / "a" / "b" / "x"), "a/b/x"),
    Case("move of what was not synced", {"deep/x": b"old"}, _unsynced_and_moved, "deep/x"),
    Case("staging and move_folder", {}, _in_a_stage, "deep/web"),
    Case("move_folder over another", {"deep/web/a/old.json": b"old", "deep/web/c": b"old"}, _in_a_stage, "deep/web"),
    Case("a photograph that is copied between disks", {}, _copied, "deep/x"),
)


def below(tree: Tree, target: str) -> Tree:
    """What is at a path or below it."""
    return {path: data for path, data in tree.items() if path == target or path.startswith(f"{target}/")}


def examine(case: Case, place: Path, seed: int, more: int = 2) -> tuple[int, set[str]]:
    """Let the power go at every call of a case.

    Args:
        case: what is done.
        place: an empty folder.
        seed: of what is left to chance.
        more: as of crash_states.

    Returns:
        How many states there were, and what they were called.
    """
    lay(case.before, place)
    states = list(crash_states(place, lambda: case.work(place), seed, more))
    old = below(case.before, case.target)
    new = read_tree(place, dict.fromkeys(_files(place / case.target, case.target), b""))
    assert new != old
    names = set()
    for calls, tree in states:
        found = below(tree, case.target)
        name = OLD if found == old else NEW if found == new else ABSENT if not any(found.values()) else "wrong"
        assert name != "wrong", f"{case.name}, after {calls} calls: {found}"
        names.add(name)
    return len(states), names


def _files(path: Path, name: str) -> Iterable[str]:
    if path.is_file():
        yield name
    for one in sorted(path.rglob("*")):
        if one.is_file():
            yield f"{name}/{one.relative_to(path).as_posix()}"


def after_the_end(case: Case, place: Path, seed: int) -> set[str]:
    """What may be at the target if the power goes once all is done: nothing but the new."""
    lay(case.before, place)
    disk = Disk(place)
    with system.watching(disk.take):
        case.work(place)
    new = below(disk.now(), case.target)
    return {NEW if below(tree, case.target) == new else "lost" for tree in disk.states(seed, 8)}


class Versions:
    """Every content that a path ever had, whole: what a reader may find there."""

    def __init__(self, root: Path) -> None:
        self.root, self._data = root, dict[str, bytearray]()
        self.whole: dict[str, set[bytes]] = {}
        for path in root.rglob("*"):
            if path.is_file() and ".sqlite" not in path.name:
                self._note(str(path.relative_to(root)), path.read_bytes())

    def _note(self, path: str, data: bytes) -> None:
        self._data[path] = bytearray(data)
        self.whole.setdefault(path, set()).add(data)

    def take(self, operation: Operation) -> None:
        """Follow the calls of a program."""
        if not operation.path.startswith(f"{self.root}/"):
            return
        path = operation.path.removeprefix(f"{self.root}/")
        if operation.kind == system.CREATE:
            self._data[path] = bytearray()
        elif operation.kind == system.WRITE and operation.data is not None:
            self._data[path][operation.number :] = operation.data
        elif operation.kind == system.RENAME:
            target = operation.target.removeprefix(f"{self.root}/")
            for name in [one for one in self._data if one == path or one.startswith(f"{path}/")]:
                self._note(target + name.removeprefix(path), bytes(self._data.pop(name)))


def first_and_second(place: Path) -> tuple[Callable[[], int], list[str]]:
    """Make a run, and say how to make another one over it whose every file is different.

    Args:
        place: the folder.

    Returns:
        What runs, and the flags of the second run.
    """
    flags = fake_run.prepare(place)
    assert fake_run.run_here([*flags, "--how_many_training_steps=20"]) == 0
    (place / "photos" / "class_2").rename(place / "photos" / "another")
    second = [*flags, "--how_many_training_steps=30"]
    return lambda: fake_run.run_here(second), second


def run_states(place: Path, work: Callable[[], object], seed: int, more: int) -> list[tuple[int, Tree]]:
    """Let the power go at every call of a run; fails where a file is found that was never whole.

    Returns:
        The states.
    """
    versions = Versions(place)
    with _also(versions.take):
        states = list(crash_states(place, work, seed, more))
    for calls, tree in states:
        for path, data in tree.items():
            whole = data in versions.whole.get(path, ())
            assert whole or _UNREAD.search(path), f"after {calls} calls {path} holds {len(data)} bytes never written so"
    return states


def _also(hook: Callable[[Operation], object]) -> mock._patch[Callable[..., object]]:
    """Have a second hook told whatever the first one is told."""
    tell = system._tell

    def both(kind: str, path: object, data: bytes | None = None, number: int = 0, target: object = "") -> None:
        hook(Operation(kind, str(path), data, number, str(target)))
        tell(kind, path, data, number, target)  # type: ignore[arg-type]

    return mock.patch.object(system, "_tell", both)


def read_model(place: Path) -> tuple[str, ...]:
    """Open a run's model as label_image does; its labels and its scores, or what is said of it."""
    graph = place / "out" / "model.pb"
    if not graph.exists():
        return (ABSENT,)
    try:
        with Classifier.open(graph) as model:
            scores = model.scores(np.full((2, 2, 3), 90, np.uint8))
            return (*model.bundle.labels, scores.tobytes().hex())
    except RetrainError as error:
        return (REFUSED, str(error))


def model_files(tree: Tree) -> Tree:
    """The files that a model is opened from."""
    return {path: data for path, data in tree.items() if path in ("out/model.pb", "out/model.tflite", "out/labels.txt")}


def write_backbone(root: Path, version: int) -> None:
    """Write a converted backbone's files."""
    convert.write_files(root / "models" / "tiny", tiny_tflite() + bytes(version), b"graph %d" % version, "none")


def read_backbone(root: Path) -> str:
    """Say which backbone's files are taken for whole, as retrain.backbones.prepare does."""
    stem = root / "models" / "tiny"
    try:
        manifest = json.loads(stem.with_suffix(".json").read_text())
        hashes = [fsio.sha256_file(stem.with_suffix(suffix)) for suffix in (".tflite", ".pb")]
    except (OSError, ValueError):
        return REFUSED
    if hashes != [manifest["tflite_sha256"], manifest["graph_sha256"]]:
        return REFUSED
    return stem.with_suffix(".pb").read_text()


def write_checkpoints(root: Path, steps: Iterable[int]) -> None:
    """Write checkpoints of a training."""
    with Checkpoints(root / "job", "d" * 64, 2, lambda step, path: None) as checkpoints:
        for step in steps:
            checkpoints.write(Progress(step=step), [np.full(4, step, np.float32)])


def read_checkpoints(root: Path) -> int:
    """The step that a training would go on from; 0 where it begins anew."""
    said: list[str] = []
    with Checkpoints(root / "job", "d" * 64, 2, lambda step, path: None) as checkpoints:
        found = checkpoints.latest(lambda arrays: "", said.append)
    if found is None:
        return 0
    assert (found.arrays[0] == found.progress.step).all()
    return found.progress.step


FIXES = [[Correction("cats/1.jpg", "dogs/1.jpg")], [Correction("cats/2.jpg", "dogs/2.jpg")]]


def write_fixes(root: Path, count: int) -> None:
    """Write the journal of corrections."""
    write_journal(root, FIXES[:count])


def append_fix(root: Path, number: int) -> None:
    """Add one fix to the journal of corrections."""
    append_journal(root, number, FIXES[number - 1])


def read_fixes(root: Path) -> int:
    """How many fixes the journal tells of, each as it was written."""
    found = read_journal(root)
    assert found == [tuple(batch) for batch in FIXES[: len(found)]]
    return len(found)


_HEAD = {"format": "jsonl", "columns": ["path"]}
_ROWS = 4


def watch(root: Path, count: int = _ROWS) -> None:
    """Write rows of photographs as label_image --watch does, those that are not there yet."""
    journal = remembered.Journal(str(root / "rows.jsonl"), _HEAD)
    for number in range(count):
        if f"{number}.jpg" not in journal.done:
            journal.output.write(b"row %d\n" % number)
            journal.remember(f"{number}.jpg", (1, 2))
    journal.close()


def go_on_watching(root: Path) -> str:
    """Begin anew after the power went: each photograph has one row, in whatever order, and nothing else is there."""
    try:
        watch(root)
    except RetrainError:
        return REFUSED
    lines = (root / "rows.jsonl").read_bytes().splitlines()
    assert sorted(lines) == [b"row %d" % number for number in range(_ROWS)], lines
    return NEW


_SPEC = InputSpec(2, 2, 127.5, 127.5)
_KEYS = [bytes([number]) * 32 for number in range(6)]
_PIXELS = [np.full((2, 2, 3), number, np.uint8) for number in range(6)]


def write_pixels(root: Path, first: int, rows: int = 4) -> None:
    """Keep decoded photographs where there is room for four: others give way."""
    kept = PixelStore(root / "pixels", _SPEC, _KEYS[first : first + 3], rows * 52)
    kept.put(_KEYS[first : first + 3], _PIXELS[first : first + 3])
    kept.close()


def read_pixels(root: Path) -> int:
    """How many decoded photographs are found; each is the right one."""
    kept, out = PixelStore(root / "pixels", _SPEC, _KEYS, 10**6), np.zeros((6, 2, 2, 3), np.uint8)
    absent = kept.read(_KEYS, out)
    kept.close()
    for number in set(range(6)) - set(absent):
        assert (out[number] == number).all(), f"another picture in place of {number}"
    return 6 - len(absent)
