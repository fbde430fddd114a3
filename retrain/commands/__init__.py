"""The small commands beside training.

backbones.py lists, cache.py looks after the bottleneck caches, compare.py says what differs between two runs, doctor.py
looks at photographs, export.py writes a model in further formats, fetch.py gets photographs from addresses, fix.py
moves photographs to the class they belong in and trains again, separate.py sorts files into class folders, show.py says
what a model file is, studio.py opens all of it in a browser, weights.py prepares a machine that has no network;
common.py is what they share, unpacked.py what cache says of unpacked archives, kept_files.py which files it deletes by
their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retrain.commands.backbones import backbones
from retrain.commands.cache import cache
from retrain.commands.compare import compare
from retrain.commands.doctor import doctor
from retrain.commands.export import export
from retrain.commands.fetch import fetch
from retrain.commands.fix import fix
from retrain.commands.separate import separate
from retrain.commands.show import show
from retrain.commands.studio import studio
from retrain.commands.weights import weights
from retrain.console import Console

COMMANDS: dict[str, Callable[[Sequence[str], Console], int]] = {
    "backbones": backbones,
    "cache": cache,
    "compare": compare,
    "doctor": doctor,
    "export": export,
    "fetch": fetch,
    "fix": fix,
    "separate": separate,
    "show": show,
    "studio": studio,
    "weights": weights,
}


def main(words: Sequence[str], console: Console) -> int:
    """Run one of the commands.

    Args:
        words: the command and what follows it.
        console: where its answer goes.

    Returns:
        The exit code.

    Raises:
        RetrainError: one of its kinds, see errors.py.
    """
    return COMMANDS[words[0]](words[1:], console)
