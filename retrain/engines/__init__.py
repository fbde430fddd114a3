"""Where extraction runs: work.py does one job, local.py does many in threads, separate.py has that done elsewhere.

budget.py bounds the bytes that are read ahead, pace.py says whether that is worth it. A decoder that crashes ends its
process: separate.py hands jobs to one of its own (process.py; child.py is what runs there, frames.py how the two talk,
endings.py tells why one ended) and puts aside the file that ends it twice. Past one machine, ray_engine.py hands
blocks of jobs to the workers that ray_crew.py hires and replaces, in the Ray that ray_session.py starts or joins;
ray_worker.py is what runs on the nodes. digests.py is how the known contents travel.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain.engines.local import LocalEngine
    from retrain.engines.ray_engine import RayEngine
    from retrain.engines.separate import SeparateEngine

__all__ = ["LocalEngine", "RayEngine", "SeparateEngine"]

_HOME = {"LocalEngine": "local", "RayEngine": "ray_engine", "SeparateEngine": "separate"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # Imported when asked for: the process that decodes needs neither Ray's rooms nor its own engine's.
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
