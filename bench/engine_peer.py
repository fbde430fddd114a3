"""One engine of bench/engines.py, in a process of its own: answers lines of JSON until its input ends.

{"count": N}        runs N pictures and answers {"per_s": X}
{"answer": FILE}    writes the features of the pictures to FILE (.npy) and answers {}
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT  # noqa: F401 - puts the repository on the path

# float32 (N, H, W, 3) -> float32 (N, D)
Run = Callable[[np.ndarray], np.ndarray]


def main() -> int:
    """Open the engine, say so, answer."""
    name, stem, pictures, threads = sys.argv[1], Path(sys.argv[2]), np.load(sys.argv[3]), int(sys.argv[4])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kind, _, options = name.partition(" ")
    run = ENGINES[kind](stem, threads, options)
    run(pictures[:8])

    def answer(**facts: Any) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    answer(ready=True)
    for line in sys.stdin:
        question = json.loads(line)
        if "answer" in question:
            np.save(question["answer"], run(pictures))
            answer()
            continue
        many = pictures[np.arange(question["count"]) % len(pictures)]
        start = time.perf_counter()
        run(many)
        answer(per_s=len(many) / (time.perf_counter() - start))
    return 0


def make(architecture: str, stem: Path, pictures: Path, count: int) -> None:
    """Build an architecture with random weights, convert it, and let Keras say what is right."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    from retrain.backbones import convert
    from retrain.backbones.table import find_backbone

    spec = find_backbone(architecture)
    keras.utils.set_random_seed(0)
    model = convert.build_untrained(spec)
    _keep_scale(model)
    shape = (count, spec.input_spec.height, spec.input_spec.width, 3)
    given = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    np.save(pictures, given)
    fed = np.asarray(convert.as_trained(given, spec.preprocessing))
    np.save(stem.with_name(stem.name + "_keras.npy"), model.predict(fed, batch_size=8, verbose=0))
    convert.write_converted(
        lambda images: model(convert.as_trained(images, spec.preprocessing), training=False), spec.input_spec, stem
    )


def _keep_scale(model: Any) -> None:
    """Draw kernels as He et al. 2015 do: with Keras' own, activations fade to 1e-17, where nothing can be compared."""
    generator = np.random.default_rng(0)
    for layer in model._flatten_layers():
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 4:
            one_each = type(layer).__name__ == "DepthwiseConv2D"
            inputs = np.prod(kernel.shape[:2]) * (1 if one_each else kernel.shape[2])
            kernel.assign(generator.normal(0, np.sqrt(2 / inputs), kernel.shape))


def litert(stem: Path, threads: int, options: str) -> Run:
    """LiteRT; options: interpreters x threads each, batch."""
    from ai_edge_litert.interpreter import Interpreter

    words = dict(word.split("=") for word in options.split())
    workers, batch = (threads, 1) if words["threads"] == "1" else (1, threads), int(words["batch"])
    content = Path(f"{stem}.tflite").read_bytes()
    opened = [_interpreter(Interpreter, content, workers[1], batch) for _ in range(workers[0])]

    def run(pictures: np.ndarray) -> np.ndarray:
        starts = iter(range(0, len(pictures), batch))
        lock, parts = threading.Lock(), {}

        def work(interpreter: Any) -> None:
            source = interpreter.get_input_details()[0]["index"]
            result = interpreter.get_output_details()[0]["index"]
            while True:
                with lock:
                    start = next(starts, None)
                if start is None:
                    return
                part = pictures[start : start + batch]
                interpreter.tensor(source)()[: len(part)] = part
                interpreter.invoke()
                parts[start] = interpreter.get_tensor(result)[: len(part)]

        crew = [threading.Thread(target=work, args=(interpreter,)) for interpreter in opened]
        for member in crew:
            member.start()
        for member in crew:
            member.join()
        return np.concatenate([parts[start] for start in sorted(parts)])

    return run


def _interpreter(factory: Any, content: bytes, threads: int, batch: int) -> Any:
    interpreter = factory(model_content=content, num_threads=threads)
    source = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(source["index"], np.array([batch, *source["shape"][1:]], np.int32))
    interpreter.allocate_tensors()
    return interpreter


def tensorflow(stem: Path, threads: int, options: str) -> Run:
    """The frozen graph in TensorFlow; options: batch, precision."""
    words = dict(word.split("=") for word in options.split())
    batch = int(words["batch"])
    graph = Path(f"{stem}.pb").read_bytes()
    if words["precision"] == "bfloat16":
        from retrain.backbones.bfloat16_child import open_graph

        call = open_graph(graph, threads)
    else:
        call = _float32_graph(graph, threads)
    return lambda pictures: np.concatenate(
        [call(pictures[start : start + batch]) for start in range(0, len(pictures), batch)]
    )


def _float32_graph(content: bytes, threads: int) -> Run:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    place = tf.Graph()
    with place.as_default():
        tf.import_graph_def(tf.compat.v1.GraphDef.FromString(content), name="")
    session = tf.compat.v1.Session(graph=place, config=config)
    call: Run = session.make_callable("bottleneck:0", feed_list=["input:0"])
    return call


def onnxruntime(stem: Path, threads: int, options: str) -> Run:
    """ONNX Runtime on what tf2onnx makes of the frozen graph: one session a core, batch 1."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort
    import tensorflow as tf
    import tf2onnx.convert

    graph = tf.compat.v1.GraphDef.FromString(Path(f"{stem}.pb").read_bytes())
    model, _ = tf2onnx.convert.from_graph_def(graph, input_names=["input:0"], output_names=["bottleneck:0"], opset=17)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    content = model.SerializeToString()
    session = ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    return _in_threads(lambda picture: session.run(None, {"input:0": picture})[0], threads)


def _in_threads(call: Run, threads: int) -> Run:
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads)
    return lambda pictures: np.concatenate(list(pool.map(call, (picture[None] for picture in pictures))))


def openvino(stem: Path, threads: int, options: str) -> Run:
    """OpenVINO on the .tflite: one Python thread, its own queue with a stream a core, batch 1."""
    import openvino as ov

    core = ov.Core()
    precision = {"float32": "f32", "bfloat16": "bf16"}[options.removeprefix("precision=")]
    settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
    queue = ov.AsyncInferQueue(core.compile_model(core.read_model(f"{stem}.tflite"), "CPU", settings), 2 * threads)
    rows: dict[int, np.ndarray] = {}
    queue.set_callback(lambda request, index: rows.__setitem__(index, request.get_output_tensor(0).data[0].copy()))

    def run(pictures: np.ndarray) -> np.ndarray:
        rows.clear()
        for index, picture in enumerate(pictures):
            queue.start_async({0: picture[None]}, index)
        queue.wait_all()
        return np.stack([rows[index] for index in itertools.islice(sorted(rows), len(pictures))])

    return run


ENGINES: dict[str, Callable[[Path, int, str], Run]] = {
    "litert": litert,
    "tensorflow": tensorflow,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}

if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(main())
