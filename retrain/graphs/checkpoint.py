"""The variables of a SavedModel, read out of its checkpoint. Imports TensorFlow, which runs nothing of the model here.

A checkpoint is a table of arrays. One entry, itself a message, says where in the graph of objects each array belongs;
the graph in saved_model.pb has the same objects under the same names, but not always under the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import WeightsError
from retrain.graphs.checked import MAX_ELEMENTS
from retrain.graphs.sessions import import_sessions

_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"


class Checkpoint:
    """The arrays of a SavedModel.

    Args:
        folder: of the SavedModel; its variables/ is read.

    Raises:
        WeightsError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        _check_files(folder)
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.trackable_object_graph_pb2 import TrackableObjectGraph

        tf = import_sessions()
        # TypeError: the entry that should be a message is an array.
        self._errors = (tf.error, ValueError, TypeError, RuntimeError, KeyError)
        self._folder = folder
        try:
            # Trap: tf.train.load_checkpoint follows a file named "checkpoint", wherever that leads.
            self._reader = tf.checkpoint_reader(str(folder / "variables" / "variables"))
            self._shapes: dict[str, list[int]] = self._reader.get_variable_to_shape_map()
            self._objects: Any = TrackableObjectGraph.FromString(self._reader.get_tensor(_GRAPH_KEY)).nodes
        except (*self._errors, DecodeError) as error:
            raise WeightsError(f"cannot read the variables in {folder}: {_last_line(error)}") from error
        if not self._objects:
            raise WeightsError(f"cannot read the variables in {folder}: they belong to no objects")
        total = sum(math.prod(shape) for shape in self._shapes.values())
        if total > 4 * MAX_ELEMENTS:  # an optimiser's, and Keras' second copy of them, lie there, too
            raise WeightsError(f"the variables in {folder} are {total} numbers, at most {4 * MAX_ELEMENTS} are read")

    def keys_of(self, saved: Any) -> dict[int, str]:  # noqa: ANN401
        """Find the variables of saved_model.pb.

        Args:
            saved: nodes of its graph of objects.

        Returns:
            Number of the object there -> its key here.
        """
        found: dict[int, str] = {}
        seen, waiting = {(0, 0)}, [(0, 0)]
        while waiting:
            there, here = waiting.pop()
            for key in self._values(here):
                found.setdefault(there, key)
            names = {child.local_name: child.node_id for child in self._objects[here].children}
            for child in saved[there].children:
                pair = (child.node_id, names.get(child.local_name, -1))
                if pair not in seen and 0 <= pair[0] < len(saved) and 0 <= pair[1] < len(self._objects):
                    seen.add(pair)
                    waiting.append(pair)
        return found

    def named(self) -> Iterator[tuple[str, str]]:
        """List the variables by the names that their owner gave them.

        Yields:
            Full name, as ``conv1/kernel``, and key.
        """
        for node in self._objects:
            for attribute in node.attributes:
                if attribute.name == _VALUE and attribute.checkpoint_key in self._shapes:
                    yield attribute.full_name, attribute.checkpoint_key

    def listed(self) -> list[str]:
        """List the keys of what the root object calls ``variables``, in its order; Keras' models have that list.

        Returns:
            Keys; none where there is no such list.
        """
        root = {child.local_name: child.node_id for child in self._objects[0].children}
        holder = root.get("variables", -1)
        if not 0 <= holder < len(self._objects):
            return []
        children = [child for child in self._objects[holder].children if child.local_name.isdecimal()]
        ordered = sorted(children, key=lambda child: int(child.local_name))
        return [
            key for child in ordered if 0 <= child.node_id < len(self._objects) for key in self._values(child.node_id)
        ]

    def shape(self, key: str) -> tuple[int, ...]:
        """Say how large an array is without reading it."""
        return tuple(self._shapes[key])

    def read(self, key: str) -> npt.NDArray[Any]:
        """Read an array.

        Args:
            key: of one that is there.

        Returns:
            The array, as it was saved.

        Raises:
            WeightsError: it cannot be read, or holds what is no finite number.
        """
        try:
            values: npt.NDArray[Any] = np.asarray(self._reader.get_tensor(key))
        except self._errors as error:
            raise WeightsError(f"cannot read the variable {key} in {self._folder}: {_last_line(error)}") from error
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise WeightsError(f"expected the variable {key} in {self._folder} to hold finite numbers; it is damaged")
        return values

    def _values(self, number: int) -> Iterator[str]:
        for attribute in self._objects[number].attributes:
            if attribute.name == _VALUE and attribute.checkpoint_key in self._shapes:
                yield attribute.checkpoint_key


def fill(graph: Any, blanks: Mapping[str, int], saved: Any, checkpoint: Checkpoint) -> None:  # noqa: ANN401
    """Put a checkpoint's numbers into the blank constants of a graph.

    Args:
        graph: a GraphDef of inline.py; changed in place.
        blanks: name of a constant -> number of the variable in the graph of objects.
        saved: nodes of that graph of objects.
        checkpoint: of the same SavedModel.

    Raises:
        WeightsError: a variable is missing, or of another shape or type than the SavedModel says.
    """
    keys = checkpoint.keys_of(saved)
    for node in graph.node:
        if node.name not in blanks:
            continue
        number = blanks[node.name]
        if number not in keys:
            raise WeightsError(f"the variable {saved[number].variable.name} is not in the SavedModel's checkpoint")
        tensor = node.attr["value"].tensor
        wanted = tuple(int(dim.size) for dim in tensor.tensor_shape.dim)
        dtype = np.dtype("<f4" if tensor.dtype == 1 else "<i4")
        values = checkpoint.read(keys[number])
        if values.shape != wanted or values.dtype != dtype:
            raise WeightsError(
                f"expected the variable {saved[number].variable.name} to be {dtype.name} {wanted}, "
                f"got {values.dtype.name} {values.shape}; the SavedModel is damaged"
            )
        tensor.tensor_content = values.astype(dtype).tobytes()


def _check_files(folder: Path) -> None:
    """Refuse variables that lie elsewhere: a stranger's model must not make us read other files."""
    inside, here = folder.resolve(), folder / "variables"
    files = [here / "variables.index", *sorted(here.glob("variables.data-*"))]
    for path in files:
        if not path.is_file() or path.is_symlink() or not path.resolve().is_relative_to(inside):
            raise WeightsError(f"expected {path} to be a file of its own in the SavedModel's folder, it is not")
    if len(files) == 1:
        raise WeightsError(f"expected variables.data-... in {here}, there is none")


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1]
