"""Checks of ``--engine`` and ``--ray_address``, without importing Ray."""

from __future__ import annotations

import importlib.util
import re
import socket

from retrain.config.flags import RunConfig

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^:/\[\]]+):(\d{1,5})")
_CONNECT_S = 3.0
RAY_COMMAND = "python -m pip install -e '.[ray]'"


def is_ray_installed() -> bool:
    """Tell whether Ray can be imported, without importing it.

    Returns:
        True or False.
    """
    found = importlib.util.find_spec("ray")
    # Trap: a folder called ray on the path is found, too, as a package without a file.
    return found is not None and found.origin is not None


def engine_problems(config: RunConfig) -> list[str]:
    """Say what is wrong with where extraction is to run.

    Args:
        config: what was asked for.

    Returns:
        One sentence a problem.
    """
    if config.engine != "ray":
        if not config.ray_address:
            return []
        return [
            f"got --ray_address={config.ray_address} without --engine=ray, which it belongs to; give both or neither"
        ]
    problems = _address_problems(config.ray_address) if config.ray_address else []
    if not is_ray_installed():
        problems.append(f"--engine=ray needs Ray, which is not installed: {RAY_COMMAND}")
    if config.ray_address and config.threads:
        problems.append(
            f"got --threads={config.threads} and --ray_address, whose nodes say how many cores they give "
            "(`ray start --num-cpus`); leave --threads away"
        )
    if config.image_dir.lower().startswith("memory://"):
        problems.append(
            f"got --engine=ray and --image_dir={config.image_dir}, which no other process can see; put the "
            "photographs on a disk or in a store"
        )
    return problems


def _address_problems(address: str) -> list[str]:
    if address == "auto":
        return []
    found = _HOST_PORT.fullmatch(address)
    if not found or not 0 < int(found[2]) < 65536:
        return [
            "expected --ray_address to be 'auto' or HOST:PORT, "
            f"got {address!r}; `ray start --head` prints the address of a cluster, usually with port 6379"
        ]
    # Ray itself would try for a minute, and then end the process.
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_CONNECT_S).close()
    except OSError as error:
        return [
            f"cannot reach --ray_address={address}: {error.strerror or error}; start Ray there with "
            "`ray start --head --port 6379`, or check the address"
        ]
    return []
