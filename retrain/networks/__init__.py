"""Networks that are trained from nothing, put together from small blocks. No TensorFlow but in building.py.

blocks.py has the blocks and what each may be; network.py puts them in a row; measuring.py follows a picture through
them and says what is wrong, how wide the result is and what it costs; jsonfile.py keeps a network as JSON; table.py has
the four that have names; finding.py finds one by name or file; building.py makes a Keras model.

    from retrain.networks import Convolution, Dense, Flatten, Network, Pool, write_network
    write_network(Network("leaves", (Convolution(16), Pool(), Flatten(), Dense(32)), size=64), "leaves.json")
"""

from retrain.networks.blocks import (
    Activation,
    Block,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Inception,
    Normalise,
    Pool,
)
from retrain.networks.building import build
from retrain.networks.finding import network_of
from retrain.networks.jsonfile import definition_of, from_json, read_network, to_json, write_network
from retrain.networks.measuring import Measured, least_size, measure, problems_of
from retrain.networks.network import GREY, Network, Usual
from retrain.networks.table import NETWORKS, find_network, is_network, names

__all__ = [
    "GREY",
    "NETWORKS",
    "Activation",
    "Block",
    "Convolution",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalPool",
    "Inception",
    "Measured",
    "Network",
    "Normalise",
    "Pool",
    "Usual",
    "build",
    "definition_of",
    "find_network",
    "from_json",
    "is_network",
    "least_size",
    "measure",
    "names",
    "network_of",
    "problems_of",
    "read_network",
    "to_json",
    "write_network",
]
