"""The networks that have names, those of the tutorials that this project grew from; docs/networks.md tells of each."""

from __future__ import annotations

import re
from dataclasses import replace

from retrain.errors import UsageError
from retrain.networks.blocks import Block, Convolution, Dense, Dropout, Flatten, Inception, Pool
from retrain.networks.measuring import MAX_SIZE, least_size
from retrain.networks.network import GREY, Network, Usual

_TYPED = re.compile(r"(?P<base>.*[a-z]\d?)[_\-\s]+(?P<size>\d+)(?:[_\-\s]+(?P<grey>gr[ea]y))?")


def _pairs_of_5x5() -> tuple[Block, ...]:
    return tuple(
        block
        for filters in (32, 64, 128)
        for block in (Convolution(filters, 5), Convolution(filters, 5), Pool())
    )  # fmt: skip


def _pairs_of_modules() -> tuple[Block, ...]:
    return tuple(block for filters in (32, 64, 128) for block in (Inception(filters), Inception(filters), Pool()))


_SIGMOIDS = (Flatten(), Dense(200, "sigmoid"), Dense(32, "sigmoid"))
NETWORKS = {
    network.name: network
    for network in (
        Network(
            "cnn3_128",
            (
                Convolution(32), Pool(),
                Convolution(32), Pool(),
                Convolution(64), Pool(),
                Flatten(), Dense(128),
            ),
            size=128,
            usual=Usual(30, 16, 1e-4),
        ),
        Network("cnn6_128", (*_pairs_of_5x5(), *_SIGMOIDS), size=128, usual=Usual(30, 32, 1e-4)),
        Network("inception_cnn_128", (*_pairs_of_modules(), *_SIGMOIDS), size=128, usual=Usual(30, 32, 1e-4)),
        Network(
            "mnist_cnn_28",
            (
                Convolution(32, 5), Pool(),
                Convolution(64, 5), Pool(),
                Flatten(), Dense(1024), Dropout(0.5),
            ),
            size=28,
            usual=Usual(10, 50, 1e-3),
        ),
    )
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Name the networks, each at the size that it usually has.

    Returns:
        Canonical names.
    """
    return tuple(NETWORKS)


def is_network(name: str) -> bool:
    """Tell whether a name is one of these networks', of any size.

    Args:
        name: as a person typed it.

    Returns:
        Whether find_network looks for it here, though its size may not do.
    """
    return _base_of(name) is not None


def find_network(name: str) -> Network:
    """Look a network up.

    Args:
        name: that of the table with any size in it, and "_grey" behind it for one channel; in any case.

    Returns:
        The network, of that size and under its canonical name.

    Raises:
        UsageError: there is none of that name, or it is too small or too large.
    """
    typed, base = _TYPED.fullmatch(name.strip().lower()), _base_of(name)
    if typed is None or base is None:
        raise UsageError(f"expected a network, one of {', '.join(NETWORKS)}, got {name!r}")
    # A number of many digits would take its time to be read as one.
    size = int(typed["size"]) if len(typed["size"]) <= 6 else MAX_SIZE + 1
    least = least_size(base)
    if not least <= size <= MAX_SIZE:
        raise UsageError(f"expected the size of {_stem(base)} to be from {least} to {MAX_SIZE} pixels, got {name!r}")
    channels, end = (1, GREY) if typed["grey"] else (3, "")
    return replace(base, name=f"{_stem(base)}_{size}{end}", size=size, channels=channels)


def _base_of(name: str) -> Network | None:
    typed = _TYPED.fullmatch(name.strip().lower())
    wanted = re.sub(r"[_\-\s]+", "_", typed["base"]) if typed is not None else ""
    return next((network for network in NETWORKS.values() if _stem(network) == wanted), None)


def _stem(network: Network) -> str:
    return network.name.rsplit("_", 1)[0]
