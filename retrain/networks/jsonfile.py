"""A network as JSON: what a person writes by hand, what decides its numbers, and how strangers' files are read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.errors import UsageError, did_you_mean
from retrain.networks.blocks import KINDS, NAMES, Block, problem_of_value
from retrain.networks.measuring import fields_of, problems_of
from retrain.networks.network import Network, Usual

MAX_BYTES = 100_000
NAMELESS = "network"


def to_json(network: Network) -> str:
    """Write a network as a person would.

    Args:
        network: any.

    Returns:
        JSON, a line a block; what is as usual is left out.
    """
    lines = ",\n  ".join(json.dumps({"block": NAMES[type(block)], **fields_of(block)}) for block in network.blocks)
    facts = {"name": network.name, "size": network.size, "channels": network.channels, "usual": network.usual._asdict()}
    head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in facts.items())
    return f'{{\n{head} "blocks": [\n  {lines}\n ]\n}}\n'


def definition_of(network: Network) -> str:
    """Write what decides a network's numbers: neither its name nor how it is trained.

    Args:
        network: any.

    Returns:
        JSON, the same for the same network; from_json reads it.
    """
    # All values are written out, so that a later version whose usual ones are others reads the same network.
    blocks = [{"block": NAMES[type(block)], **dataclasses.asdict(block)} for block in network.blocks]
    facts = {"blocks": blocks, "channels": network.channels, "size": network.size}
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def write_network(network: Network, path: str | Path) -> None:
    """Write a network to a file that --architecture takes.

    Args:
        network: any.
        path: ends in .json.

    Raises:
        UsageError: all that is wrong with it.
    """
    problems = problems_of(network)
    if not str(path).endswith(".json"):
        problems.append(f"expected the name of a network's file to end in .json, got {path}")
    if problems:
        raise UsageError(problems)
    fsio.write_text(path, to_json(network))


def read_network(path: str | Path) -> Network:
    """Read a network from a file.

    Args:
        path: a .json file; not trusted.

    Returns:
        The network.

    Raises:
        UsageError: all that is wrong with it.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the network {path}: {error.strerror or error}; check the spelling") from error
    return from_json(data, str(path))


def from_json(text: str | bytes, source: str = "the network") -> Network:
    """Read a network.

    Args:
        text: JSON; not trusted.
        source: where it is from, for the sentences.

    Returns:
        The network, measured and found whole.

    Raises:
        UsageError: all that is wrong with it.
    """
    if len(text) > MAX_BYTES:
        raise UsageError(f"expected {source} to have at most {MAX_BYTES} bytes, got more")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"expected {source} to be JSON, see docs/networks.md: {error}") from error
    problems = _problems_of_keys(told)
    if not problems:
        network = _network(told)
        problems = problems_of(network)
        if not problems:
            return network
    raise UsageError([f"{source}: {problem}" for problem in problems])


def _network(told: Mapping[str, Any]) -> Network:
    return Network(
        name=told.get("name", NAMELESS),
        blocks=tuple(_block(one) for one in told["blocks"]),
        size=told["size"],
        channels=told.get("channels", 3),
        usual=Usual(**told.get("usual", {})),
    )


def _block(told: Mapping[str, Any]) -> Block:
    return KINDS[told["block"]](**{name: value for name, value in told.items() if name != "block"})


def _problems_of_keys(told: object) -> list[str]:
    """Check names and kinds; what their values may be, problems_of says of any network."""
    if not isinstance(told, dict):
        return [f"expected an object with size and blocks, got {type(told).__name__}"]
    problems = _unknown(told, [field.name for field in dataclasses.fields(Network)], "")
    problems += [f"expected {name}, got none" for name in ("size", "blocks") if name not in told]
    usual, blocks = told.get("usual", {}), told.get("blocks", [])
    if isinstance(usual, dict):
        problems += _unknown(usual, Usual._fields, "usual: ")
    else:
        problems.append(f"expected usual to be an object, got {type(usual).__name__}")
    if not isinstance(blocks, list):
        return [*problems, f"expected blocks to be a list, got {type(blocks).__name__}"]
    return problems + [problem for number, one in enumerate(blocks, 1) for problem in _problems_of_one(number, one)]


def _problems_of_one(number: int, told: object) -> list[str]:
    where = f"block {number}"
    if not isinstance(told, dict) or "block" not in told:
        return [f"{where}: expected an object with a block, one of {', '.join(KINDS)}, got {str(told)[:60]}"]
    if not isinstance(told["block"], str) or told["block"] not in KINDS:
        got = str(told["block"])[:60]
        return [f"{where}: expected block to be one of {', '.join(KINDS)}, got {got!r}{did_you_mean(got, [*KINDS])}"]
    where += f" ({told['block']})"
    fields = {field.name: field for field in dataclasses.fields(KINDS[told["block"]])}
    problems = _unknown(told, ["block", *fields], f"{where}: ")
    for name, field in fields.items():
        if name in told:
            problems.append(problem_of_value(field, told[name], where))
        elif field.default is dataclasses.MISSING:
            problems.append(f"{where}: expected {name}, got none")
    return [problem for problem in problems if problem]


def _unknown(told: Mapping[str, Any], legal: Iterable[str], where: str) -> list[str]:
    names = list(legal)
    return [
        f"{where}expected one of {', '.join(names) or 'nothing'}, got {name[:60]!r}{did_you_mean(name[:60], names)}"
        for name in told
        if name not in names
    ]
