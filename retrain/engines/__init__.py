"""Where extraction runs: work.py does one job, local.py does many in threads of this process."""

from retrain.engines.local import LocalEngine

__all__ = ["LocalEngine"]
