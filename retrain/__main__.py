"""``python -m retrain``."""

import sys

from retrain.cli import main

if __name__ == "__main__":
    sys.exit(main())
