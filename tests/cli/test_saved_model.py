"""The SavedModel: what it answers, as TensorFlow Serving asks it, and that it decodes as the rest of the project does."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PHOTOS, Trained, python
from PIL import ExifTags, Image, features
from support import encode

from retrain.bundle import ASSET, bundle_from_json
from retrain.classifier import Classifier
from retrain.exporters.parity import compare_scores, read_pixels, tflite_scorer
from retrain.exporters.worker import TensorFlowWorker
from retrain.graphs.inline import IMAGES, write_out
from retrain.graphs.savedmodel import find_entry, parse_saved_model
from retrain.images import InputSpec, decode_rgb, normalise
from retrain.modelfile.graph import graph_bundle

pytestmark = pytest.mark.tensorflow

# A process of its own: writes the SavedModel, too; decodes files; answers requests as TensorFlow Serving's REST API does.
LOOK = """
import base64, json, os, sys
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
import numpy as np, tensorflow as tf
from pathlib import Path
from retrain.exporters.child.decoding import decoded_pixels
from retrain.exporters.child.saved_model import build
from retrain.images import InputSpec

folder, graph, height, width = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
build(graph=graph, bundle=(folder / "bundle.json").read_text(), place=str(folder / "again"))

spec = InputSpec(height, width, 0.0, 1.0)
decode = tf.function(lambda data: decoded_pixels(data, spec), [tf.TensorSpec((), tf.string)], autograph=False)
found = {path.name: decode(path.read_bytes()).numpy() for path in sorted((folder / "kinds").iterdir())}
np.savez(folder / "decoded.npz", **found)

def value(x):
    return x.decode() if isinstance(x, bytes) else x.item() if isinstance(x, np.generic) else [value(y) for y in x]

def served(model, request):
    '''The row format of the REST API: https://www.tensorflow.org/tfx/serving/api_rest'''
    function = model.signatures[request.get("signature_name", "serving_default")]
    (spec,) = function.structured_input_signature[1].values()
    rows = [base64.b64decode(one["b64"]) if isinstance(one, dict) else one for one in request["instances"]]
    try:
        answer = function(**{spec.name: tf.constant(rows, spec.dtype)})
    except tf.errors.OpError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    columns = {name: column.numpy() for name, column in answer.items()}
    assert {len(column) for column in columns.values()} == {len(rows)}
    return {"predictions": [{name: value(column[i]) for name, column in columns.items()} for i in range(len(rows))]}

model = tf.saved_model.load(str(folder / "models" / "clusters" / "1"))
requests = json.loads((folder / "requests.json").read_text())
(folder / "answers.json").write_text(json.dumps({name: served(model, one) for name, one in requests.items()}))

v1 = tf.compat.v1
with tf.Graph().as_default() as plain:
    tf.graph_util.import_graph_def(v1.GraphDef.FromString((folder / "plain.pb").read_bytes()), name="")
    with v1.Session() as session:
        result = (folder / "result.txt").read_text()
        np.save(folder / "plain.npy", session.run(f"{result}:0", {"images:0": np.load(folder / "scaled.npy")}))
"""

SIZE = (90, 60)


def _picture(width: int = SIZE[0], height: int = SIZE[1], seed: int = 0) -> Image.Image:
    """Coarse noise: no two turns of it look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _exif(orientation: int | None, endian: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[ExifTags.Base.Make] = "somebody"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


def _xmp(orientation: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def _alpha(mode: str) -> Image.Image:
    ramp = Image.fromarray(np.tile(np.arange(SIZE[0], dtype=np.uint8) * 2, (SIZE[1], 1)))
    image = _picture().convert(mode.removesuffix("A"))
    image.putalpha(ramp)
    return image


def _png16() -> bytes:
    """Three channels of 16 bits, which Pillow reads but does not write."""
    values = np.random.default_rng(3).integers(0, 1 << 16, (20, 30, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _gif_with_margins(data: bytes) -> bytes:
    """The same first frame on a larger canvas."""
    image = data.index(b",\0\0\0\0" + struct.pack("<HH", *SIZE))
    canvas = struct.pack("<HH", SIZE[0] + 20, SIZE[1] + 10)
    return data[:6] + canvas + data[10 : image + 1] + struct.pack("<HH", 7, 3) + data[image + 5 :]


def _top_down(bmp: bytes) -> bytes:
    return bmp[:22] + struct.pack("<i", -SIZE[1]) + bmp[26:]


def _kinds() -> dict[str, bytes]:
    """Image files by the name of what is special about them."""
    photo, palette = _picture(), _picture().quantize(32)
    frames = {"save_all": True, "append_images": [_picture(seed=1)]}
    transparent = bytes(range(0, 256, 8))
    found = {
        **{f"jpeg_exif_{n}": encode(photo, "JPEG", exif=_exif(n)) for n in range(10)},
        **{f"jpeg_exif_big_endian_{n}": encode(photo, "JPEG", exif=_exif(n, ">")) for n in (3, 6)},
        "jpeg_xmp": encode(photo, "JPEG", xmp=_xmp(6)),
        "jpeg_exif_and_xmp": encode(photo, "JPEG", exif=_exif(None), xmp=_xmp(8)),
        "jpeg_grey": encode(photo.convert("L"), "JPEG"),
        "jpeg_progressive": encode(photo, "JPEG", progressive=True),
        "jpeg_full_colour": encode(photo, "JPEG", subsampling=0),
        "jpeg_cmyk": encode(photo.convert("CMYK"), "JPEG"),
        **{f"jpeg_{n}_wide": encode(_picture(n, n * 2 // 3), "JPEG") for n in (230, 500, 1000, 2003)},
        "jpeg_large_turned": encode(_picture(1400, 300), "JPEG", exif=_exif(6)),
        "jpeg_thin": encode(_picture(3, 700), "JPEG"),
        "png": encode(photo),
        **{f"png_{mode.lower()}": encode(_alpha(mode)) for mode in ("RGBA", "LA")},
        **{f"png_{mode.lower()}": encode(photo.convert(mode)) for mode in ("L", "1")},
        "png_palette": encode(palette),
        "png_2_bits": encode(_picture().quantize(4), bits=2),
        "png_palette_transparent": encode(palette, transparency=transparent),
        "png_colour_transparent": encode(Image.new("RGB", SIZE, (9, 99, 200)), transparency=(9, 99, 200)),
        "png_grey_transparent": encode(photo.convert("L"), transparency=photo.convert("L").getpixel((1, 1))),
        "png_16_bits": _png16(),
        "png_16_bits_grey": encode(Image.fromarray(np.arange(5400, dtype=np.uint16).reshape(60, 90) * 12)),
        "png_exif": encode(photo, exif=_exif(6)),
        "gif": encode(palette, "GIF"),
        "gif_transparent": encode(palette, "GIF", transparency=palette.getpixel((0, 0))),
        "gif_animated": encode(palette, "GIF", **frames),
        "gif_margins": _gif_with_margins(encode(palette, "GIF")),
        "gif_margins_transparent": _gif_with_margins(encode(palette, "GIF", transparency=palette.getpixel((0, 0)))),
        **{f"bmp_{mode.lower()}": encode(photo.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB")},
        "bmp_rgba": encode(_alpha("RGBA"), "BMP"),
        "bmp_top_down": _top_down(encode(photo, "BMP")),
    }
    if features.check("webp"):
        # Without the alpha flag, TensorFlow's own decoder writes past the end of what it has for an animation.
        found |= {
            "webp": encode(photo, "WEBP"),
            "webp_alpha": encode(_alpha("RGBA"), "WEBP", lossless=True),
            "webp_exif": encode(photo, "WEBP", exif=_exif(8)),
            "webp_animated": encode(photo, "WEBP", **frames),
        }
    return found


KINDS = _kinds()
# Pillow rounds where it multiplies by black, TensorFlow cuts off.
SHADES_APART = {"jpeg_cmyk": 2}


def _broken() -> dict[str, tuple[bytes, str]]:
    jpeg = encode(_picture(), "JPEG")
    bomb = encode(_picture())
    return {
        "text": (b"<html>not a photograph</html>", "expected the bytes of a JPEG, PNG, GIF, BMP or WebP file"),
        "nothing": (b"", "expected the bytes of a JPEG, PNG, GIF, BMP or WebP file"),
        "cut_jpeg": (jpeg[: len(jpeg) // 2], "JPEG"),
        "cut_png": (bomb[:100], "PNG"),
        "bomb": (bomb[:16] + struct.pack(">II", 100_000, 100_000) + bomb[24:], "at most 100000000 pixels"),
        "bomb_on_its_side": (bomb[:16] + struct.pack(">II", 99_000_000, 1) + bomb[24:], "65535 on a side"),
        "bomb_webp": (b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0" + b"\xff" * 6 + b"ANIM", "at most 100000000 pixels"),
        "cut_bmp": (encode(_picture(), "BMP")[:500], "expected a whole BMP"),
        "rle_bmp": (encode(_picture().quantize(8), "BMP").replace(b"\x08\0\0\0\0\0", b"\x08\0\1\0\0\0", 1), "save it as PNG"),
        "cut_gif": (encode(_picture().quantize(8), "GIF")[:60], "GIF"),
    }  # fmt: skip


BROKEN = _broken()


def _b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.fixture(scope="module")
def worker() -> Iterator[TensorFlowWorker]:
    with TensorFlowWorker() as started:
        yield started


@pytest.fixture(scope="module")
def facts(trained: Trained) -> dict[str, str]:
    bundle = graph_bundle(trained.graph.read_bytes(), str(trained.graph))
    return {"graph": str(trained.graph), "bundle": bundle.to_json().decode()}


@pytest.fixture(scope="module")
def spec(facts: dict[str, str]) -> InputSpec:
    return bundle_from_json(facts["bundle"].encode(), "the run").input_spec


@pytest.fixture(scope="module")
def place(worker: TensorFlowWorker, facts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("serving") / "models" / "clusters" / "1"
    place.parent.mkdir(parents=True)
    said = worker.call("saved_model:build", **facts, place=str(place))
    assert said == {"signatures": ["describe", "pixels", "serving_default"]}
    return place


@pytest.fixture(scope="module")
def served_photos() -> list[bytes]:
    """Five photographs of different formats and sizes."""
    jpegs = [path.read_bytes() for path in sorted(PHOTOS.rglob("*.jpg"))[::18]]
    first, second, third = [Image.open(io.BytesIO(data)) for data in jpegs[:3]]
    return [
        encode(first.resize((300, 200))),
        encode(second.resize((123, 457)), "BMP"),
        *jpegs[3:],
        encode(third, "GIF"),
    ]


@pytest.fixture(scope="module")
def looked(place: Path, facts: dict[str, str], spec: InputSpec, served_photos: list[bytes]) -> Path:
    """The folder with what LOOK found."""
    folder = place.parents[2]
    (folder / "bundle.json").write_text(facts["bundle"])
    (folder / "kinds").mkdir()
    for name, data in KINDS.items():
        (folder / "kinds" / name).write_bytes(data)
    requests: dict[str, Any] = {f"batch_{n}": {"instances": [_b64(d) for d in served_photos[:n]]} for n in (1, 3, 5)}
    requests |= {name: {"instances": [_b64(served_photos[0]), _b64(data)]} for name, (data, _) in BROKEN.items()}
    requests["describe"] = {"signature_name": "describe", "instances": ["", "anything"]}
    pixels = normalise(decode_rgb(served_photos[0], spec), spec)
    requests["pixels"] = {"signature_name": "pixels", "instances": pixels.tolist()}
    (folder / "requests.json").write_text(json.dumps(requests))
    _write_plain(place, folder, spec)
    np.save(folder / "scaled.npy", np.concatenate([normalise(decode_rgb(d, spec), spec) for d in served_photos]))
    output = python("-c", LOOK, folder, facts["graph"], str(spec.height), str(spec.width), timeout_s=400)
    assert output.returncode == 0, output.stderr[-3000:]
    return folder


def _write_plain(place: Path, folder: Path, spec: InputSpec) -> None:
    meta = parse_saved_model((place / "saved_model.pb").read_bytes(), str(place))
    entry = find_entry(meta, str(place))
    assert (entry.name, entry.output_name, entry.captures) == ("pixels", "scores", ())
    plain = write_out(meta, entry, spec.height, spec.width)
    assert plain.scores
    assert not plain.variables
    assert IMAGES == "images"
    (folder / "plain.pb").write_bytes(plain.graph.SerializeToString())
    (folder / "result.txt").write_text(plain.result)


@pytest.fixture(scope="module")
def answers(looked: Path) -> dict[str, Any]:
    return json.loads((looked / "answers.json").read_text())


def _reference(trained: Trained, spec: InputSpec, pixels: Any) -> np.ndarray:
    scorer = tflite_scorer(trained.graph.with_suffix(".tflite").read_bytes(), spec)
    return np.stack([scorer(one).reshape(-1) for one in pixels])


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_cluster_photograph_gets_the_models_scores_from_pixels_and_from_its_file(
    worker: TensorFlowWorker, place: Path, trained: Trained, spec: InputSpec, tmp_path: Path
) -> None:
    paths = [str(path) for path in sorted(PHOTOS.rglob("*.jpg"))]
    pixels, scores = tmp_path / "pixels.npy", tmp_path / "scores.npy"
    np.save(pixels, read_pixels(paths, spec))
    reference = _reference(trained, spec, np.load(pixels))
    scaling = {"height": spec.height, "width": spec.width, "mean": spec.mean, "std": spec.std}
    said = worker.call("saved_model:score", place=str(place), pixels=str(pixels), scores=str(scores), **scaling)
    from_pixels = compare_scores(reference, np.load(scores))
    assert said["ms"] > 0
    worker.call("saved_model:score_files", place=str(place), files=paths, scores=str(scores))
    from_files = compare_scores(reference, np.load(scores))
    for parity in (from_pixels, from_files):
        assert parity.photographs == parity.agreeing == 84
        assert parity.largest_difference < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_decoded_to_the_pixels_that_it_has_everywhere_else(kind: str, looked: Path, spec: InputSpec) -> None:
    ours = decode_rgb(KINDS[kind], spec)
    theirs = np.load(looked / "decoded.npz")[kind]
    assert theirs.shape == ours.shape
    assert np.abs(theirs.astype(int) - ours).max() <= SHADES_APART.get(kind, 0)


def test_the_kinds_differ_so_that_a_turn_that_is_not_made_is_seen(spec: InputSpec) -> None:
    upright = decode_rgb(KINDS["jpeg_exif_1"], spec)
    turned = [
        decode_rgb(KINDS[name], spec) for name in KINDS if name.startswith("jpeg_exif_") and name[-1] in "2345678"
    ]
    assert len(turned) == 9
    assert all(np.abs(one.astype(int) - upright).mean() > 5 for one in turned)


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_a_serving_request_is_answered_with_a_row_a_photograph(
    batch: int, answers: dict[str, Any], trained: Trained, served_photos: list[bytes]
) -> None:
    rows = answers[f"batch_{batch}"]["predictions"]
    expected = [guesses[0] for guesses in map(Classifier.open(trained.graph).classify, served_photos[:batch])]
    assert len(rows) == batch
    for row, prediction in zip(rows, expected, strict=True):
        assert row["labels"] == ["globular cluster", "open cluster"]
        best = int(np.argmax(row["scores"]))
        assert (row["label"], row["score"]) == (row["labels"][best], row["scores"][best])
        assert row["label"] == prediction.label
        assert row["score"] == pytest.approx(prediction.score, abs=1e-5)


def test_pixels_and_the_plain_graph_written_out_of_them_answer_alike(
    looked: Path, answers: dict[str, Any], trained: Trained, spec: InputSpec, served_photos: list[bytes]
) -> None:
    reference = _reference(trained, spec, [decode_rgb(data, spec) for data in served_photos])
    assert np.abs(np.load(looked / "plain.npy") - reference).max() < 1e-5
    (row,) = answers["pixels"]["predictions"]
    assert row["scores"] == pytest.approx(reference[0].tolist(), abs=1e-5)


def test_the_model_describes_itself_in_a_signature_and_in_an_asset(
    answers: dict[str, Any], place: Path, facts: dict[str, str]
) -> None:
    described = [row["bundle"] for row in answers["describe"]["predictions"]]
    asset = (place / "assets" / ASSET).read_text()
    assert described == [asset, asset]
    assert bundle_from_json(asset.encode(), "asset") == bundle_from_json(facts["bundle"].encode(), "run")


@pytest.mark.parametrize("fault", BROKEN)
def test_bytes_that_are_no_photograph_are_an_invalid_argument(fault: str, answers: dict[str, Any]) -> None:
    error = answers[fault]["error"]
    assert error.startswith("InvalidArgumentError")
    assert BROKEN[fault][1] in error


def test_equal_arguments_give_equal_bytes_in_any_process(
    worker: TensorFlowWorker, place: Path, looked: Path, facts: dict[str, str], tmp_path: Path
) -> None:
    worker.call("saved_model:build", **facts, place=str(tmp_path / "third"))
    first = _files(place)
    assert sorted(first) == [
        f"assets/{ASSET}", "fingerprint.pb", "saved_model.pb", "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]  # fmt: skip
    assert first == _files(looked / "again") == _files(tmp_path / "third")


def test_nothing_but_operations_that_calculate_is_inside(place: Path) -> None:
    meta = parse_saved_model((place / "saved_model.pb").read_bytes(), str(place))
    functions = meta.graph_def.library.function
    operations = {node.op for node in meta.graph_def.node} | {n.op for one in functions for n in one.node_def}
    assert "DecodeJpeg" in operations
    assert not operations & {"PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "DecodeWebP"}
    # The only variable is TensorFlow's own for the place of the asset.
    assert [node.attr["dtype"].type for node in meta.graph_def.node if node.op == "VarHandleOp"] == [7]
