"""Models that may do more than calculate, run by TensorFlow in a process that may do nothing else.

model.py is the side of the caller: SandboxedModel starts the process and treats its answers as hostile. child.py is
that process: it imports TensorFlow, locks itself down (lockdown.py; landlock.py and seccomp.py on Linux) and only then
lets it see the model (loading.py). wire.py is how the two talk; bounds.py says how much the model may have.
"""

from retrain.sandbox.bounds import Bounds
from retrain.sandbox.model import SandboxedModel

__all__ = ["Bounds", "SandboxedModel"]
