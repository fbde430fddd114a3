"""Frozen graphs and SavedModels with bytes changed, cut out, put in and doubled: understood or refused, nothing else."""

from __future__ import annotations

import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from model_attacks import Graph, add_variable, saved_model
from model_files import FLOAT, INT, GraphMaker

from retrain.errors import WeightsError
from retrain.graphs import inline, savedmodel
from retrain.graphs.checked import checked_nodes
from retrain.graphs.foreign import describe_graph, inference_graph
from retrain.graphs.labelling import find_scores, scoring_graph

MOST_CHANGES = 3


def inception() -> bytes:
    """The beginning and the end of the Inception of 2015, with the operations that it alone has."""
    maker = GraphMaker("Mul", sizes=(), output="")
    maker.constant("Mul/y", np.float32([1 / 128]))
    maker.graph.node[0].op = "Mul"
    maker.placeholder("picture", (1, 2, 2, 3))
    maker.graph.node[0].input.extend(["picture", "Mul/y"])
    for name, value in zip(("mean", "variance", "beta", "gamma"), (1, 3, 5, 2), strict=True):
        maker.constant(name, np.full(3, value, np.float32))
    old = ("norm", "BatchNormWithGlobalNormalization", "Mul", "mean", "variance", "beta", "gamma")
    maker.add(*old, T=FLOAT)
    maker.graph.node[-1].attr["variance_epsilon"].f = 0.001
    maker.add("checked", "CheckNumerics", "norm", T=FLOAT)
    maker.constant("axis", np.array([3], np.int32))
    maker.add("join", "Concat", "axis", "checked", "Mul", T=FLOAT)
    maker.constant("rows/shape", np.array([1, 24], np.int32))
    maker.add("pool_3/_reshape", "Reshape", "join", "rows/shape", T=FLOAT, Tshape=INT)
    return maker.data


@cache
def seeds() -> tuple[tuple[bytes, ...], bytes]:
    """Sound files: frozen graphs, and a SavedModel with a function and a variable."""
    with tempfile.TemporaryDirectory() as place:
        folder = saved_model(Path(place) / "saved", Graph().data, change=add_variable)
        module = (folder / "saved_model.pb").read_bytes()
    return (inception(), GraphMaker().data, GraphMaker(output="bottleneck").data, Graph().data), module


def changed(data: bytes, draw: random.Random) -> bytes:
    """Change a file at one to three places."""
    made = bytearray(data)
    for _ in range(draw.randint(1, MOST_CHANGES)):
        place, kind = draw.randrange(len(made)), draw.random()
        if kind < 0.5:
            made[place] = draw.randrange(256)
        elif kind < 0.65:
            made[place] ^= 1 << draw.randrange(8)
        elif kind < 0.75:
            del made[place : place + draw.randint(1, 4)]
        elif kind < 0.85:
            made[place:place] = draw.randbytes(draw.randint(1, 3))
        else:
            other, length = draw.randrange(len(made)), draw.randint(1, 30)
            made[place : place + length] = made[other : other + length]
    return bytes(made)


def as_backbone(data: bytes) -> None:
    """What training makes of a stranger's frozen graph before TensorFlow sees any of it."""
    inference_graph(data, describe_graph(data))


def as_scorer(data: bytes) -> None:
    """What labelling makes of one."""
    scoring_graph(data, find_scores(checked_nodes(data)))


def as_module(data: bytes) -> None:
    """What both make of a SavedModel."""
    meta = savedmodel.parse_saved_model(data, "x")
    savedmodel.tell_functions(meta)
    entry = savedmodel.find_entry(meta, "x")
    inline.write_out(meta, entry, entry.height or 2, entry.width or 2)


def judge(seed: int) -> Counter[str]:
    """Make the mutant of a seed and open it in every way; a warning is a fault like any other.

    Raises:
        Exception: whatever came that is no refusal; the seed makes it again.
    """
    draw, (graphs, module) = random.Random(seed), seeds()
    ways: tuple[Callable[[bytes], None], ...] = (as_backbone, as_scorer)
    source = draw.choice(graphs)
    if draw.random() < 0.3:
        ways, source = (as_module,), module
    data, found = changed(source, draw), Counter[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for way in ways:
            try:
                way(data)
            except WeightsError:
                found["refused"] += 1
            else:
                found["understood"] += 1
    return found
