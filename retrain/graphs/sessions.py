"""TensorFlow's sessions, without the rest of it: all that running a frozen graph takes.

``import tensorflow`` executes its whole public interface, Keras, distribution strategies and data services among it:
3.8 s here. The session, the importer and the kernels are 0.9 s of that. They are imported by their own names, with an
empty module standing where the package's own would have been executed. It is taken away again at once, so that a later
``import tensorflow`` in the same process finds none and does all of it (2.9 s then). Where a TensorFlow keeps these
modules elsewhere, the whole package is imported: the same functions under their public names, only later.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from retrain.litert import silent_stderr


@dataclass(frozen=True)
class Sessions:
    """Names of TensorFlow 1's interface.

    Args:
        graph: tf.Graph.
        graph_def: tf.compat.v1.GraphDef.
        import_graph_def: tf.graph_util.import_graph_def.
        session: tf.compat.v1.Session.
        config: tf.compat.v1.ConfigProto.
        placeholder: tf.compat.v1.placeholder.
        float32: tf.float32.
        error: tf.errors.OpError, the root of what TensorFlow raises.
        checkpoint_reader: reads a checkpoint by its prefix; unlike tf.train.load_checkpoint, no file that names others.
    """

    graph: Any
    graph_def: Any
    import_graph_def: Any
    session: Any
    config: Any
    placeholder: Any
    float32: Any
    error: Any
    checkpoint_reader: Any


def import_sessions() -> Sessions:
    """Import what running a frozen graph takes, for the processor, without TensorFlow's greeting.

    Returns:
        The names.
    """
    quiet()
    with silent_stderr():
        if "tensorflow" not in sys.modules:
            with contextlib.suppress(ImportError, AttributeError), _without_the_package():
                return _by_their_own_names()
        return _by_their_public_names()


def quiet() -> None:
    """Ask TensorFlow for the processor alone and for silence; before it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@contextlib.contextmanager
def _without_the_package() -> Iterator[None]:
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.submodule_search_locations is None:
        raise ImportError("tensorflow is not a package here")
    empty = types.ModuleType("tensorflow")
    empty.__path__ = list(found.submodule_search_locations)
    sys.modules["tensorflow"] = empty
    try:
        yield
    finally:
        if sys.modules.get("tensorflow") is empty:
            del sys.modules["tensorflow"]


def _by_their_own_names() -> Sessions:
    def module(name: str) -> Any:  # noqa: ANN401
        return importlib.import_module(f"tensorflow.{name}")

    return Sessions(
        graph=module("python.framework.ops").Graph,
        graph_def=module("core.framework.graph_pb2").GraphDef,
        import_graph_def=module("python.framework.importer").import_graph_def,
        session=module("python.client.session").Session,
        config=module("core.protobuf.config_pb2").ConfigProto,
        placeholder=module("python.ops.array_ops").placeholder,
        float32=module("python.framework.dtypes").float32,
        error=module("python.framework.errors_impl").OpError,
        checkpoint_reader=module("python.training.py_checkpoint_reader").NewCheckpointReader,
    )


def _by_their_public_names() -> Sessions:
    tf: Any = importlib.import_module("tensorflow")
    v1 = tf.compat.v1
    return Sessions(
        graph=tf.Graph,
        graph_def=v1.GraphDef,
        import_graph_def=tf.graph_util.import_graph_def,
        session=v1.Session,
        config=v1.ConfigProto,
        placeholder=v1.placeholder,
        float32=tf.float32,
        error=tf.errors.OpError,
        checkpoint_reader=v1.train.NewCheckpointReader,
    )
