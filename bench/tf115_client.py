"""A client of retrained_graph.pb as the codelab's label_image is one: TensorFlow 1.15, Python 3.7.

Started by old_clients.py with the old interpreter; it must not use anything newer, nor anything of this project.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Callable  # noqa: UP035 - Python 3.7

import numpy as np
import tensorflow as tf


def load_graph(model_file: str) -> tf.Graph:
    """Open a frozen graph, as the codelab does: under "import/"."""
    graph, graph_def = tf.Graph(), tf.compat.v1.GraphDef()
    with open(model_file, "rb") as file:  # noqa: PTH123
        graph_def.ParseFromString(file.read())
    with graph.as_default():
        tf.import_graph_def(graph_def)
    return graph


def read_tensor(path: str, height: int, width: int, mean: float, std: float) -> np.ndarray:
    """Decode a photograph, as the codelab does: bilinear without antialiasing."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        decoded = tf.image.decode_jpeg(tf.io.read_file(path), channels=3, name="jpeg_reader")
        batch = tf.expand_dims(tf.cast(decoded, tf.float32), 0)
        resized = tf.compat.v1.image.resize_bilinear(batch, [height, width])
        return session.run(tf.divide(tf.subtract(resized, [mean]), [std]))


def in_batches(run: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, size: int) -> np.ndarray:
    """Score all pictures, so many at once; the last batch is filled up with the first picture."""
    filled = np.concatenate([pixels, np.repeat(pixels[:1], -len(pixels) % size, axis=0)])
    scores = [run(filled[start : start + size]) for start in range(0, len(filled), size)]
    return np.concatenate(scores)[: len(pixels)]


def score_files(run: Callable[[bytes], np.ndarray], paths: list[str]) -> tuple[np.ndarray, list[float]]:
    """Have the graph decode the photographs itself; the seconds that each took but the first come along."""
    scores, seconds = [], []
    for path in paths:
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
        start = time.perf_counter()
        scores.append(run(data))
        seconds.append(time.perf_counter() - start)
    return np.concatenate(scores), seconds[1:] or seconds


def main() -> None:
    """Answer with scores and description, in a .npz file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("request", help="JSON that old_clients.py wrote")
    with open(parser.parse_args().request, encoding="utf-8") as file:  # noqa: PTH123
        request = json.load(file)
    graph = load_graph(request["graph"])
    pixels = np.load(request["pixels"])
    with tf.compat.v1.Session(graph=graph) as session:

        def feeding(node: str) -> Callable[[object], np.ndarray]:
            source, result = (graph.get_operation_by_name("import/" + one) for one in (node, request["output_node"]))
            return lambda fed: session.run(result.outputs[0], {source.outputs[0]: fed})

        answer = {}
        for node in request["input_nodes"]:
            for size in request["batches"]:
                answer["%s_%d" % (node, size)] = in_batches(feeding(node), pixels, size)  # noqa: UP031
        run = feeding(request["input_nodes"][0])
        answer["own_decode"] = np.concatenate([run(read_tensor(one, *request["input"])) for one in request["images"]])
        answer["contents"], seconds = score_files(feeding(request["contents_node"]), request["images"])
        answer["contents_ms"] = np.array(1000 * np.median(seconds))
        description = session.run("import/" + request["bundle_node"] + ":0").decode("utf-8")
    np.savez(request["answer"], bundle=np.array(description), version=np.array(tf.__version__), **answer)


if __name__ == "__main__":
    main()
