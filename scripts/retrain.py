"""The codelab's spelling of ``python -m retrain``."""

import sys
from pathlib import Path

# Trap: run as a file, this folder comes first on the path, and "retrain" would be scripts/retrain.py itself.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != _HERE)]

if __name__ == "__main__":
    from retrain.__main__ import main

    main()
