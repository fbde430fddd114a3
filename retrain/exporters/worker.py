"""A child process with TensorFlow in it: conversions and checks of exports, one call after the other.

TensorFlow takes seconds to import and half a gigabyte: it is started while the head is still being trained, serves all
formats of a run, and ends with the run, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from types import TracebackType
from typing import IO, Any, Self

from retrain import errors, leash
from retrain.backbones.prepare import child_environment
from retrain.errors import RetrainError

_LAST_WORDS = 2000


class TensorFlowWorker:
    """Calls functions of this package in a process of its own; started by the first call, or by start."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the process, which imports TensorFlow at once; returns without waiting for it."""
        if self._process is not None:
            return
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        command = leash.child("retrain.exporters.child.serve")
        self._process = subprocess.Popen(
            command.words, pass_fds=command.descriptors,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env={**child_environment(), **quiet},
        )  # fmt: skip

    def call(self, function: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call a function in the process, and wait for its answer.

        Args:
            function: ``module:function``, the module below retrain.exporters.child; it takes facts by name.
            facts: what JSON can hold.

        Returns:
            Its answer.

        Raises:
            RetrainError: what the function raised, of the kind that it raised; or the process ended.
        """
        self.start()
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise RetrainError("the TensorFlow process has no pipes")
        try:
            self._process.stdin.write(json.dumps({"function": function, "facts": facts}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise RetrainError(f"the TensorFlow process ended in {function}:\n{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise _as_raised(answer["kind"], answer["error"])
        returned: dict[str, Any] = answer["returned"]
        return returned

    def close(self) -> None:
        """End the process: it holds nothing that could be lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, self._said):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    def _last_words(self) -> str:
        if self._said is None:
            return "it said nothing"
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - _LAST_WORDS))
        return self._said.read().decode(errors="replace").strip() or "it said nothing"


def _as_raised(kind: str, text: str) -> RetrainError:
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, RetrainError) and found is not errors.ImageError:
        return found(text)
    return RetrainError(text)
