"""Where extraction runs: local.py, threads of this process."""

from retrain.engines.local import LocalEngine

__all__ = ["LocalEngine"]
