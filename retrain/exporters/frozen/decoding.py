"""The part of the frozen graph that stands before its input: the bytes of a photograph to what the backbone is fed.

For clients of the original's graphs, which feed other tensors than ``input``:

    DecodeJpeg/contents   string, a scalar: the bytes of one JPEG, or of a PNG or GIF as TensorFlow has always let pass
    DecodeJpeg            uint8 (H, W, 3), RGB: a picture of any size, decoded elsewhere
    ResizeBilinear        float32 (1, height, width, 3), 0 to 255
    Mul                   float32 (N, height, width, 3), scaled; the same as ``input``

It does what retrain.images does, in operations of TensorFlow 1.15: large JPEGs are decoded at 1/2, 1/4 or 1/8, and
resized in two passes, rows first, whose results are rounded half up to whole numbers. Without the decoding at 1/2 the
scores were up to 0.046 off, with one pass 0.011, so 0.005 (84 photographs). The branches are the original Switch and
Merge, since control flow in functions is newer than those clients.

Not done, as in the original: a photograph is not turned upright by its EXIF orientation, and transparency is cut off,
not laid over white. Nor are limits checked; decode the bytes of strangers with retrain.images and feed ``input``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrain.exporters.frozen.nodes import Attribute, Nodes
from retrain.images import InputSpec

CONTENTS_NODE = "DecodeJpeg/contents"
PICTURE_NODE = "DecodeJpeg"
PIXELS_NODE = "ResizeBilinear"
SCALED_NODE = "Mul"

_JPEG_MAGIC = b"\xff\xd8\xff"
# Trap: sums that are a half exactly come out a hair short of it in floating point; retrain.images adds whole numbers,
# and rounds them up. With 0.5, 4.6 % of the values of the cluster photographs are off by one, with this 1.2 %.
_HALF = 0.501
# What libjpeg divides both sides by, decoding less than everything; the largest that leaves enough is taken.
_RATIOS = (8, 4, 2)


def add_decoding(nodes: Nodes, spec: InputSpec) -> str:
    """Add all nodes from the bytes of a photograph to what the backbone is fed.

    Args:
        nodes: where to.
        spec: size and scaling of the backbone's input.

    Returns:
        Name of the last: float32 (N, height, width, 3), scaled.
    """
    scope = _Scope(nodes)
    contents = nodes.add(CONTENTS_NODE, "Placeholder", dtype=np.bytes_, shape=())
    _decode(nodes, contents, _surplus(scope, contents, spec), scope)
    _resize(nodes, scope, spec)
    centred = scope.add("centred", "Sub", [PIXELS_NODE, scope.floats("mean", [spec.mean])], T=np.float32)
    scaled = scope.add("scaled", "Mul", [centred, scope.floats("factor", [1 / spec.std])], T=np.float32)
    # A product could be fed as well, but one picture at a time: its shape would be known.
    shape = (-1, spec.height, spec.width, 3)
    return nodes.add(SCALED_NODE, "PlaceholderWithDefault", [scaled], dtype=np.float32, shape=shape)


class _Scope:
    """Nodes below DecodeJpeg/, so that few names are taken from backbones; each method returns a node's name."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def add(self, name: str, operation: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        return self._nodes.add(f"{PICTURE_NODE}/{name}", operation, inputs, **attributes)

    def floats(self, name: str, values: Sequence[float] | float) -> str:
        return self._nodes.constant(f"{PICTURE_NODE}/{name}", np.array(values, np.float32))

    def whole(self, name: str, values: Sequence[int] | int) -> str:
        return self._nodes.constant(f"{PICTURE_NODE}/{name}", np.array(values, np.int32))

    def text(self, name: str, text: bytes) -> str:
        return self._nodes.text(f"{PICTURE_NODE}/{name}", text)

    def part(self, name: str, source: str, begin: int, end: int, kind: type[np.generic]) -> str:
        """Take source[begin:end], one-dimensional."""
        ends = [self.whole(f"{name}/{word}", [at]) for word, at in (("begin", begin), ("end", end), ("step", 1))]
        return self.add(name, "StridedSlice", [source, *ends], T=kind, Index=np.int32)

    def joined(self, name: str, first: str, second: str, kind: type[np.generic]) -> str:
        """Put two one-dimensional tensors behind each other."""
        axis = self.whole(f"{name}/axis", 0)
        return self.add(name, "ConcatV2", [first, second, axis], T=kind, Tidx=np.int32, N=2)

    def resized(self, name: str, picture: str, size: str, scale: str, kind: type[np.generic]) -> str:
        """Resize with the antialiased triangle kernel to whole numbers."""
        still, half = self.floats(f"{name}/translation", [0, 0]), self.floats(f"{name}/half", _HALF)
        exact = self.add(
            f"{name}/exact", "ScaleAndTranslate", [picture, size, scale, still],
            T=kind, kernel_type="triangle", antialias=True,
        )  # fmt: skip
        raised = self.add(f"{name}/raised", "Add", [exact, half], T=np.float32)  # Round would round half to even
        return self.add(name, "Floor", [raised], T=np.float32)


def _surplus(scope: _Scope, contents: str, spec: InputSpec) -> str:
    """How many times larger than wanted a JPEG is: int32, a scalar; 1 for other formats, whose headers are not read."""
    first = [scope.whole("start/at", 0), scope.whole("start/length", len(_JPEG_MAGIC))]
    start = scope.add("start", "Substr", [contents, *first], T=np.int32)
    is_jpeg = scope.add("is_jpeg", "Equal", [start, scope.text("magic", _JPEG_MAGIC)], T=np.bytes_)
    other = scope.add("other", "Switch", [scope.whole("one", 1), is_jpeg], T=np.int32)
    jpeg = scope.add("jpeg", "Switch", [contents, is_jpeg], T=np.bytes_)
    header = scope.add("header", "ExtractJpegShape", [f"{jpeg}:1"], output_type=np.int32)
    sides = scope.part("sides", header, 0, 2, np.int32)
    times = scope.add("times", "FloorDiv", [sides, scope.whole("wanted", [spec.height, spec.width])], T=np.int32)
    fewest = scope.add("fewest", "Min", [times, scope.whole("fewest/axis", 0)], T=np.int32, Tidx=np.int32)
    return scope.add("surplus", "Merge", [other, fewest], T=np.int32, N=2)


def _decode(nodes: Nodes, contents: str, surplus: str, scope: _Scope) -> None:
    rest, pictures = contents, []
    for ratio in _RATIOS:
        name = f"by_{ratio}"
        enough = scope.add(f"{name}/enough", "GreaterEqual", [surplus, scope.whole(f"{name}/least", ratio)], T=np.int32)
        branch = scope.add(f"{name}/branch", "Switch", [rest, enough], T=np.bytes_)
        pictures.append(_decoded(scope, name, f"{branch}:1", ratio))
        rest = branch
    pictures.append(_decoded(scope, "by_1", rest, 1))
    nodes.add(PICTURE_NODE, "Merge", pictures, T=np.uint8, N=len(pictures))


def _decoded(scope: _Scope, name: str, contents: str, ratio: int) -> str:
    return scope.add(
        name, "DecodeJpeg", [contents], channels=3, ratio=ratio, fancy_upscaling=True, try_recover_truncated=False,
        dct_method="INTEGER_ACCURATE",
    )  # fmt: skip


def _resize(nodes: Nodes, scope: _Scope, spec: InputSpec) -> None:
    size = scope.add("size", "Shape", [PICTURE_NODE], T=np.uint8, out_type=np.int32)
    sides = scope.part("size/sides", size, 0, 2, np.int32)
    given = scope.add("size/given", "Cast", [sides], SrcT=np.int32, DstT=np.float32)
    scale = scope.add("scale", "RealDiv", [scope.floats("target", [spec.height, spec.width]), given], T=np.float32)
    one = scope.floats("unscaled", [1])
    batch = scope.add("batch", "ExpandDims", [PICTURE_NODE, scope.whole("batch/axis", 0)], T=np.uint8, Tdim=np.int32)
    high = scope.whole("rows/height", [spec.height])
    rows_size = scope.joined("rows/size", high, scope.part("rows/width", size, 1, 2, np.int32), np.int32)
    rows_scale = scope.joined("rows/scale", scope.part("rows/factor", scale, 0, 1, np.float32), one, np.float32)
    rows = scope.resized("rows", batch, rows_size, rows_scale, np.uint8)
    whole = scope.whole("columns/size", [spec.height, spec.width])
    columns = scope.joined("columns/scale", one, scope.part("columns/factor", scale, 1, 2, np.float32), np.float32)
    pixels = scope.resized("columns", rows, whole, columns, np.float32)
    nodes.add(PIXELS_NODE, "Identity", [pixels], T=np.float32)
