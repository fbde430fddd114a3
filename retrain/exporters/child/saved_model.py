"""In the TensorFlow child: a SavedModel for TensorFlow Serving that takes image files, decodes and resizes by itself.

    serving_default   image_bytes, string (N,): the bytes of image files
    pixels            pixels, float32 (N, height, width, 3), scaled
        -> label, string (N,), and score, float32 (N,), of the best; labels, string (N, C), and scores, float32 (N, C)
    describe          request, string (N,), whose contents do not matter
        -> bundle, string (N,): the model's description, JSON; the same as assets/retrain_bundle.json

Everything has the photographs' dimension first, as TensorFlow Serving's row format wants it; no name ends in ``_bytes``
but the input's, because the server writes outputs of such names in base64. There are no variables, so nothing is
restored, and nothing but TensorFlow's own operations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from retrain import fsio
from retrain.bundle import ASSET, Bundle, bundle_from_json
from retrain.exporters.child.scoring import Pictures, one_thread, score_pixels
from retrain.exporters.child.scoring import score_files as _score_files
from retrain.graphs.checked import INPUT_NODE, path_between

DECODING_SIGNATURE = "serving_default"
PIXELS_SIGNATURE = "pixels"
DESCRIBING_SIGNATURE = "describe"


def build(*, graph: str, bundle: str, place: str) -> dict[str, Any]:
    """Write a model as a SavedModel; equal arguments give equal bytes in every file.

    Args:
        graph: path of the frozen graph of backbone and head.
        bundle: its description, JSON.
        place: path of the folder to write; not there yet.

    Returns:
        "signatures": their names.

    Raises:
        ModelError: the description is damaged.
    """
    import tensorflow as tf

    from retrain.exporters.child.canonical import rewrite

    described = bundle_from_json(bundle.encode(), graph)
    one_thread()
    module = tf.Module()
    signatures = _signatures(_scorer(Path(graph), described), described)
    with tempfile.TemporaryDirectory(prefix="retrain-savedmodel-") as folder:
        asset = Path(folder) / ASSET
        fsio.write_bytes(asset, described.to_json())
        module.bundle = tf.saved_model.Asset(str(asset))
        tf.saved_model.save(module, place, signatures)
    rewrite(Path(place))
    return {"signatures": sorted(signatures)}


def score(*, place: str, **given: Unpack[Pictures]) -> dict[str, float]:
    """Run a SavedModel that ``build`` wrote on decoded photographs.

    Args:
        place: path of its folder: one of ours, just written, never a stranger's.
        given: the photographs.

    Returns:
        "ms": median milliseconds of one photograph.
    """
    import tensorflow as tf

    run = _opened(place, PIXELS_SIGNATURE)
    return score_pixels(lambda picture: run(pixels=tf.constant(picture)), **given)


def score_files(*, place: str, files: list[str], scores: str) -> dict[str, float]:
    """Run a SavedModel that ``build`` wrote on files, which it decodes by itself.

    Args:
        place: path of its folder: one of ours, just written, never a stranger's.
        files: paths of image files.
        scores: path of the .npy to write, float32 (N, C).

    Returns:
        "ms": median milliseconds of one photograph, its decoding included.
    """
    import tensorflow as tf

    run = _opened(place, DECODING_SIGNATURE)
    return _score_files(lambda data: run(image_bytes=tf.constant([data])), files=files, scores=scores)


def _opened(place: str, signature: str) -> Callable[..., Any]:
    import tensorflow as tf

    one_thread()
    model = tf.saved_model.load(place)

    def run(**inputs: Any) -> Any:  # noqa: ANN401
        # The model is held on to here: without it, what its functions stand on would be let go of.
        return model.signatures[signature](**inputs)["scores"].numpy()

    return run


def _scorer(path: Path, bundle: Bundle) -> Any:  # noqa: ANN401
    """Make a function of the frozen graph: float32 (N, height, width, 3), scaled -> float32 (N, C)."""
    import tensorflow as tf

    definition = _cut(tf.compat.v1.GraphDef.FromString(path.read_bytes()), bundle)

    def scored(pixels: Any) -> Any:  # noqa: ANN401
        (scores,) = tf.graph_util.import_graph_def(
            definition, {f"{INPUT_NODE}:0": pixels}, [f"{bundle.output_node}:0"], name="model"
        )
        scores.set_shape((None, len(bundle.labels)))  # not an operation, which our own reader would have to know
        return scores

    return tf.function(scored, input_signature=[_pixels_spec(bundle, "images")], autograph=False)


def _cut(definition: Any, bundle: Bundle) -> Any:  # noqa: ANN401
    """Leave what the scores are calculated from, without what decodes, and without places to feed cached vectors."""
    import tensorflow as tf

    for node in definition.node:
        if node.name == INPUT_NODE:
            node.Clear()
            node.name, node.op = INPUT_NODE, "Placeholder"
            node.attr["dtype"].type = tf.float32.as_datatype_enum
        elif node.op == "PlaceholderWithDefault":
            kind = node.attr["dtype"].type
            node.op = "Identity"
            node.attr.clear()
            node.attr["T"].type = kind
    nodes = {node.name: node for node in definition.node}
    needed = [nodes[name] for name in path_between(nodes, INPUT_NODE, bundle.output_node)]
    return tf.compat.v1.GraphDef(node=needed, versions=definition.versions)


def _signatures(scorer: Any, bundle: Bundle) -> dict[str, Any]:  # noqa: ANN401
    import tensorflow as tf

    from retrain.exporters.child.decoding import model_inputs

    def serving_default(image_bytes: Any) -> Any:  # noqa: ANN401
        return _answer(scorer(model_inputs(image_bytes, bundle.input_spec)), bundle)

    def pixels(pixels: Any) -> Any:  # noqa: ANN401
        return _answer(scorer(pixels), bundle)

    def describe(request: Any) -> Any:  # noqa: ANN401
        return {"bundle": tf.fill(tf.shape(request), tf.constant(bundle.to_json()))}

    specs = {
        serving_default: tf.TensorSpec((None,), tf.string, name="image_bytes"),
        pixels: _pixels_spec(bundle, "pixels"),
        describe: tf.TensorSpec((None,), tf.string, name="request"),
    }
    names = (DECODING_SIGNATURE, PIXELS_SIGNATURE, DESCRIBING_SIGNATURE)
    return {
        name: tf.function(function, input_signature=[spec], autograph=False)
        for name, (function, spec) in zip(names, specs.items(), strict=True)
    }


def _pixels_spec(bundle: Bundle, name: str) -> Any:  # noqa: ANN401
    import tensorflow as tf

    return tf.TensorSpec((None, bundle.input_height, bundle.input_width, 3), tf.float32, name=name)


def _answer(scores: Any, bundle: Bundle) -> dict[str, Any]:  # noqa: ANN401
    import tensorflow as tf

    names = tf.constant(bundle.labels)
    return {
        "label": tf.gather(names, tf.argmax(scores, axis=1)),
        "score": tf.reduce_max(scores, axis=1),
        "labels": tf.broadcast_to(names, tf.shape(scores)),
        "scores": scores,
    }
