"""How much a model in the sandbox may have."""

from __future__ import annotations

from dataclasses import dataclass

# Of the caller's flags, which messages name.
INPUT_FLAG, OUTPUT_FLAG = "--input_layer", "--output_layer"
# The largest picture that a bundle may ask for, as float32.
MAX_PICTURE_BYTES = 4096 * 4096 * 3 * 4


@dataclass(frozen=True)
class Bounds:
    """Limits of the process that runs a model.

    Args:
        memory_bytes: that it may allocate; TensorFlow alone takes 0.4 GB.
        load_s: wall-clock seconds from its start until the model is open.
        call_s: wall-clock seconds for one picture.
        open_files: at a time.
        threads: that calculate; 0 means one a core. They also bound the processor seconds: twice the wall-clock
            seconds on each.
        classes: scores that it may answer with.
        file_bytes: of a .pb, or of all files of a SavedModel together.
    """

    memory_bytes: int = 4 << 30
    load_s: float = 120.0
    call_s: float = 60.0
    open_files: int = 256
    threads: int = 0
    classes: int = 1 << 16
    file_bytes: int = 1 << 30

    def cpu_s(self, wall_s: float, threads: int) -> int:
        """Say how many processor seconds go with a time on the clock.

        Args:
            wall_s: seconds.
            threads: that calculate.

        Returns:
            Whole seconds, at least 2.
        """
        return max(2, int(2 * wall_s * threads))
