"""Which network is meant: by the name or file that --architecture takes, or by a backbone's row."""

from __future__ import annotations

from typing import Protocol

from retrain.errors import UsageError
from retrain.networks.jsonfile import read_network
from retrain.networks.network import Network
from retrain.networks.table import NETWORKS, find_network

SUFFIX = ".json"


class Described(Protocol):
    """What may have a network: BackboneSpec, of a room above this one."""

    @property
    def name(self) -> str:
        """Canonical name."""

    @property
    def network(self) -> Network | None:
        """Its blocks; None for an architecture of Keras Applications."""


def network_of(named: str | Described) -> Network:
    """Find a network.

    Args:
        named: a name of the table, of any size; the path of a .json file; or a backbone's row.

    Returns:
        The network.

    Raises:
        UsageError: it is none; the text says what is.
    """
    if isinstance(named, str):
        return read_network(named) if named.lower().endswith(SUFFIX) else find_network(named)
    if named.network is None:
        raise UsageError(
            f"expected a network that is trained from nothing, one of {', '.join(NETWORKS)} or a .json file of your "
            f"own, got {named.name}"
        )
    return named.network
