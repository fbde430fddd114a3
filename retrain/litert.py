"""Opens LiteRT models: one thread each, a model a core, and without the library's greeting on standard error."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrain.images import Floats

_first_open = threading.Lock()
_greeted = False


@dataclass(frozen=True)
class OpenModel:
    """A LiteRT model with one input; belongs to the thread that opened it.

    Args:
        interpreter: ai_edge_litert's Interpreter.
        source: index of its input.
        result: index of its first output.
        second: index of its second output; None where it has one.
    """

    interpreter: Any
    source: int
    result: int
    second: int | None = None

    def run(self, fill: Callable[[Floats], object]) -> Floats:
        """Run the model once.

        Args:
            fill: writes the input into the model's own memory, float32, of the input's shape: no copy is made. It
                must not keep the array.

        Returns:
            float32, of the first output's shape; a copy.
        """
        fill(self.interpreter.tensor(self.source)())
        self.interpreter.invoke()
        answer: Floats = self.interpreter.get_tensor(self.result)
        return answer

    def run_both(self, fill: Callable[[Floats], object]) -> tuple[Floats, Floats | None]:
        """Run the model once, and take both of its outputs.

        Args:
            fill: as of run.

        Returns:
            The first output and the second, copies; None where there is no second.
        """
        first = self.run(fill)
        return first, None if self.second is None else self.interpreter.get_tensor(self.second)


def open_model(content: bytes, input_shape: tuple[int, ...] | None = None) -> OpenModel:
    """Open a LiteRT model with one thread.

    Args:
        content: the bytes of a .tflite file.
        input_shape: resize the input to this shape; None keeps the model's own.

    Returns:
        The model, its memory allocated.
    """
    from ai_edge_litert.interpreter import Interpreter

    with _quiet_first_time():
        interpreter = Interpreter(model_content=content, num_threads=1)
        source = interpreter.get_input_details()[0]
        if input_shape is not None and tuple(source["shape"]) != input_shape:
            interpreter.resize_tensor_input(source["index"], np.array(input_shape, np.int32))
        interpreter.allocate_tensors()
    first, *more = (output["index"] for output in interpreter.get_output_details())
    return OpenModel(interpreter, source["index"], first, more[0] if more else None)


@contextlib.contextmanager
def _quiet_first_time() -> Iterator[None]:
    # The C++ library prints "INFO: Created TensorFlow Lite XNNPACK delegate" once a process and has no switch for it.
    global _greeted
    with _first_open:
        if _greeted:
            yield
            return
        _greeted = True
        with silent_stderr():
            yield


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what C++ libraries print on standard error while they start; exceptions are raised as ever.

    Yields:
        Nothing.
    """
    kept, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silence)


def usable_cores() -> int:
    """Count the cores this process may use.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
