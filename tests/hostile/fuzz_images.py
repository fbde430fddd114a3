"""What Atheris drives: an input is read in every way; only ImageError may come of it.

``python fuzz_images.py [libFuzzer's words] CORPUS``; scripts/soak/fuzz.py runs it for an hour. Python code of this room
and of Pillow is instrumented, so that an input which reaches a new place of it is kept.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).resolve().parent)]

with atheris.instrument_imports(include=["PIL", "retrain.images"]):
    import PIL.BmpImagePlugin
    import PIL.GifImagePlugin
    import PIL.JpegImagePlugin
    import PIL.MpoImagePlugin
    import PIL.PngImagePlugin
    import PIL.TiffImagePlugin
    import PIL.WebPImagePlugin  # noqa: F401 - Pillow imports these when they are needed, which would be too late
    from mutants_child import ways

    import retrain.images
    import retrain.images.dates
    import retrain.images.fits
    import retrain.images.tf1
    import retrain.images.tiles  # noqa: F401
    from retrain.errors import ImageError

_WAYS = [do for name, do in ways().items() if name not in ("upright", "sky as bmp", "sky likeness")]


def read(data: bytes) -> None:
    for do in _WAYS:
        try:
            do(data)
        except ImageError:
            continue


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
