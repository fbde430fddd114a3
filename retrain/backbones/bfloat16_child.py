"""The process that runs a frozen graph in bfloat16: float32 batches on standard input, vectors on standard output.

Runs as ``python -m retrain.backbones.bfloat16_child``, started by bfloat16.py; ends when its input does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from retrain.backbones.biases import fuse_biases
from retrain.images import Floats

INPUT, BOTTLENECK = "input:0", "bottleneck:0"


def main() -> int:
    """Answer batches until the input ends.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.backbones.bfloat16_child", description=__doc__)
    parser.add_argument("graph", type=Path, help="frozen graph with the nodes input and bottleneck")
    for name in ("batch", "height", "width", "features", "threads"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    # Ctrl-C reaches this process, too: the run decides what it means, and ends this input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not come among the answers
    shape = (given.batch, given.height, given.width, 3)
    serve(sys.stdin.buffer, answers, open_graph(given.graph.read_bytes(), given.threads), shape)
    return 0


def open_graph(graph: bytes, threads: int) -> Callable[[Floats], Floats]:
    """Open a frozen graph so that TensorFlow calculates in bfloat16 what oneDNN can.

    Args:
        graph: serialised GraphDef.
        threads: cores to calculate with.

    Returns:
        A function: float32 (N, H, W, 3) -> float32 (N, D).
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # without it nothing would be in bfloat16, and nobody would be told
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

    config = config_pb2.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    rewriting: Any = config.graph_options.rewrite_options
    rewriting.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    place = tf.Graph()
    with place.as_default():
        tf.import_graph_def(fuse_biases(tf.compat.v1.GraphDef.FromString(graph)), name="")
    session = tf.compat.v1.Session(graph=place, config=config)
    run: Callable[[Floats], Floats] = session.make_callable(BOTTLENECK, feed_list=[INPUT])
    return run


def serve(
    batches: IO[bytes], answers: IO[bytes], run: Callable[[Floats], Floats], shape: tuple[int, int, int, int]
) -> None:
    """Answer batches until there are no more.

    Args:
        batches: float32 batches of one shape, one after the other.
        answers: gets float32 (N, D) for each.
        run: float32 (N, H, W, 3) -> (N, D).
        shape: of a batch.
    """
    batch = np.empty(shape, np.float32)
    room = batch.data.cast("B")
    while batches.readinto(room) == batch.nbytes:  # type: ignore[attr-defined]
        answers.write(np.ascontiguousarray(run(batch), np.float32).data)
        answers.flush()


if __name__ == "__main__":
    sys.exit(main())
