"""Shims, so that the codelab's ``python -m scripts.retrain`` and ``python scripts/retrain.py`` work, too."""
