"""The codelab's spelling of ``python -m label_image``."""

import sys
from pathlib import Path

# Trap: run as a file, this folder comes first on the path, and "retrain" would be scripts/retrain.py itself.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != _HERE)]

if __name__ == "__main__":
    from label_image import main

    main()
