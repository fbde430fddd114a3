"""The table of formats that a model is written in: ``--export``, and ``python -m retrain export --format``."""

from __future__ import annotations

from dataclasses import dataclass

from retrain.errors import did_you_mean


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: as ``--export`` has it.
        ending: of the file, or of the folder, behind the model's name.
        what: it is for, in a few words.
        is_folder: it is a folder of files.
        max_difference: of a score from the float32 LiteRT model's, on the same pixels; past it, it is not kept.
        min_agreement: share of the photographs that must get the same first label, 0 to 1.
        decodes: it takes image files as well, and decodes and resizes them by itself.
    """

    name: str
    ending: str
    what: str
    is_folder: bool = False
    max_difference: float = 1e-5
    min_agreement: float = 1.0
    decodes: bool = False


# Of exports that decode and resize photographs by themselves, when they are fed files.
MAX_DIFFERENCE_DECODED = 1e-2
# The same where it names every photograph as the model does: a head that is sharp, as one that wrong labels made, turns
# the last bits of another decoder into more.
MAX_DIFFERENCE_DECODED_AGREEING = 5e-2
# Always written: every other format can be made from these two, later, without training.
ALWAYS = ("graph", "tflite")

FORMATS = {
    one.name: one
    for one in (
        Format("graph", ".pb", "frozen TensorFlow graph", decodes=True),
        Format("tflite", ".tflite", "LiteRT; label_image runs it"),
        # 11 bits of mantissa in the weights: what is lost shows in the third decimal of a score.
        Format("tflite_fp16", "_fp16.tflite", "LiteRT, half the size", max_difference=2e-2, min_agreement=0.99),
        Format("tflite_int8", "_int8.tflite", "LiteRT, a third of the size", max_difference=1.0, min_agreement=0.98),
        Format("saved_model", "_saved_model", "TensorFlow Serving; takes image files", is_folder=True, decodes=True),
        Format("onnx", ".onnx", "ONNX Runtime and others"),
        Format("keras", ".keras", "Keras 3"),
        Format("tfjs", "_tfjs", "TensorFlow.js, for web pages", is_folder=True),
    )
}


def split_formats(text: str) -> tuple[str, ...]:
    """Read a list of formats.

    Args:
        text: names with commas between them, in any case.

    Returns:
        The names as the table has them, in its order, each once, without those that it has not.
    """
    asked = _words(text)
    return tuple(name for name in FORMATS if name in asked)


def format_problems(text: str, flag: str) -> list[str]:
    """Say what is wrong with a list of formats.

    Args:
        text: as given.
        flag: its name.

    Returns:
        One sentence a problem.
    """
    asked = _words(text)
    if not asked:
        return [f"expected --{flag} to name formats ({', '.join(FORMATS)}), got nothing"]
    return [
        f"expected --{flag} to name formats ({', '.join(FORMATS)}), got {word!r}{did_you_mean(word, list(FORMATS))}"
        for word in asked
        if word not in FORMATS
    ]


def _words(text: str) -> list[str]:
    return [word for word in (part.strip().lower() for part in text.split(",")) if word]
