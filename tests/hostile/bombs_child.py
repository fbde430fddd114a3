"""Reads files as a run does and says how each ended: ``python bombs_child.py FILE ...``, a JSON object a line.

``seconds`` are of the processor. Nothing else is in this process, so that its memory is theirs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from mutants_child import peak_rss, ways

from retrain.errors import ImageError
from retrain.images import read_image_file


def main(paths: list[str]) -> int:
    how = ways()
    for path in map(Path, paths):
        for way in ("sky", "sky doctor") if path.suffix == ".sky" else ("training", "upright", "date", "doctor"):
            start, reason = time.process_time(), ""
            try:
                how[way](read_image_file(path))
            except ImageError as error:
                reason = error.reason
            row = {"name": path.stem, "way": way, "reason": reason, "seconds": time.process_time() - start}
            print(json.dumps(row | {"rss": peak_rss()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
