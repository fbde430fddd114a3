"""Run one command and write what it took: ``python -I -S launch.py REPORT.json COMMAND WORD ...``.

A process of its own, because Linux counts the memory of the process that starts a child in that child's peak: only
from a small one is the peak the child's own.
"""

import json
import os
import sys
import time


def main() -> int:
    """Start the command, wait for it, write the report."""
    report, words = sys.argv[1], sys.argv[2:]
    start = time.perf_counter()
    child = os.posix_spawnp(words[0], words, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - start
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    facts = {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": kilobytes / 1024}
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would double this process
        json.dump(facts, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
