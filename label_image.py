"""``python -m label_image``: names a photograph with a trained model; see retrain/label.py."""

import sys

from retrain.label import main

if __name__ == "__main__":
    sys.exit(main())
