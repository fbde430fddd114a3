"""A fake run, begun and ended as the real command is: python tests/faults/signals_child.py FLAGS..."""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # before all other imports, as the real command does

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]


def main() -> int:
    """Be a fake run."""
    import fake_run

    return fake_run.run_here(sys.argv[1:])


if __name__ == "__main__":
    from retrain.interrupts import program

    program("signals_child")
