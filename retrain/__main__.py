"""``python -m retrain``."""

import signal


def main() -> None:
    """Be the command, from the first moment to the last."""
    # Until there is something to lose or to say, Ctrl-C just ends the process; before all other imports, out of which
    # Python's own exception would come as a traceback.
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from retrain.interrupts import program

    program("retrain.cli")


if __name__ == "__main__":
    main()
