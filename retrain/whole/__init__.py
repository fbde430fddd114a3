"""Whole networks: from the flags to a trained network, which then is a backbone with a head like any other.

jobs.py makes the job of the flags, which the room of the trainer does; training.py has the photographs looked at first,
has the network trained, and has it look at all of them; crossing.py does that once more for each fold.
"""

from retrain.whole.crossing import cross_networks, validated
from retrain.whole.training import Whole, first_look, train_whole

__all__ = ["Whole", "cross_networks", "first_look", "train_whole", "validated"]
