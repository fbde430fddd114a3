"""Reads files as a run, the doctor and label_image do, and says what Pillow tried, and what was opened or started.

``python formats_child.py FILE ...``: a JSON object a line, then one of what an audit hook saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mutants_child import ways
from PIL import Image

SUSPECT = ("subprocess.", "socket.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pty.", "pickle.find_class",
           "ctypes.dlopen", "urllib.")  # fmt: skip
_WAYS = ("training", "upright", "tf1", "date", "doctor")


def listen(folder: Path) -> list[str]:
    seen: list[str] = []

    def hook(event: str, words: tuple[object, ...]) -> None:
        if event.startswith(SUSPECT) or (event == "open" and str(words[0]).startswith(str(folder))):
            seen.append(f"{event} {words!r}"[:200])

    sys.addaudithook(hook)
    return seen


def watched_plugins() -> set[str]:
    """The names of all plugins that are asked to open something, from now on."""
    Image.init()
    tried: set[str] = set()

    def watching(name: str, factory: object) -> object:
        def opened(*words: object) -> object:
            tried.add(name)
            return factory(*words)  # type: ignore[operator]

        return opened

    for name, (factory, accept) in list(Image.OPEN.items()):
        Image.OPEN[name] = (watching(name, factory), accept)  # type: ignore[assignment]
    return tried


def main(paths: list[str]) -> int:
    from retrain.errors import ImageError

    how, tried = ways(), watched_plugins()
    contents = [(Path(path), Path(path).read_bytes()) for path in paths]
    seen = listen(Path(paths[0]).parent)
    for path, data in contents:
        tried.clear()
        answers = {}
        for way in _WAYS:
            try:
                how[way](data)
                answers[way] = "read"
            except ImageError as error:
                answers[way] = error.reason
        print(json.dumps({"name": path.name, "tried": sorted(tried), **answers}), flush=True)
    print(json.dumps({"seen": seen}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
