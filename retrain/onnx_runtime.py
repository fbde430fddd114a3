"""Opens ONNX models: one thread each, and without the library's reports to its makers."""

from __future__ import annotations

import os
from typing import Any

from retrain.errors import ModelError, first_line


def open_session(content: bytes, source: str = "the model") -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open an ONNX model with one thread.

    Args:
        content: a .onnx file.
        source: its name, for messages.

    Returns:
        An onnxruntime.InferenceSession; may be called from several threads.

    Raises:
        ModelError: onnxruntime does not open it.
        ImportError: it is not installed.
    """
    # Trap: from 1.29 on the library leaves a number for this machine in the home folder and sends it and what it runs
    # to its makers, from threads of its own that read the environment while others write it. It looks once, when its
    # native part is loaded; disable_telemetry_events() is too late for the first report.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as LiteRT's: a picture a thread
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own are thirteen classes that share no base
        raise ModelError(f"onnxruntime {onnxruntime.__version__} cannot open {source}: {first_line(error)}") from error
