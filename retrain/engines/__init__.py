"""Where extraction runs: work.py does one job, local.py does many in threads of this process.

budget.py bounds the bytes that are read ahead, pace.py says whether that is worth it. Past one machine, ray_engine.py
hands blocks of jobs to the workers that ray_crew.py hires and replaces, in the Ray that ray_session.py starts or joins;
ray_worker.py is what runs on the nodes.
"""

from retrain.engines.local import LocalEngine
from retrain.engines.ray_engine import RayEngine

__all__ = ["LocalEngine", "RayEngine"]
