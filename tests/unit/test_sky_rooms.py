"""What the other rooms make of pictures of the sky: flags, lists of files, fingerprints, the doctor, exports, labelling."""

import dataclasses
import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sky_files import fits_bytes, fits_gz, png16, tiff
from support import bundle_of, encode, noise, tiny_tflite, write_tree

from retrain.alike.fingerprints import fingerprint
from retrain.backbones import FrozenBackbone, PreparedBackbone, find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.classifier import Classifier
from retrain.config import RunConfig
from retrain.config.sky import sky_problems
from retrain.dataset import find_photographs, scan_folder
from retrain.dataset.remote import scan_photographs
from retrain.dataset.scan import SKY, suffix_of, suffixes_for
from retrain.distortions import Distortion
from retrain.doctor.files import Job, examine, examine_bytes
from retrain.errors import ImageError
from retrain.exporters.yardstick import Yardstick
from retrain.images import InputSpec, SkyStretch, deep_format
from retrain.images.sky import sky_of
from retrain.label.sorting import file_name
from retrain.label.sources import STDIN, Photograph, photographs, skipping, source_problems
from retrain.runtimes.litert import LiteRuntime

STRETCH = SkyStretch("percentile", 99.0)
FIELD = np.random.default_rng(3).normal(1000, 12, (40, 60)).astype(np.float32)
FITS = fits_bytes(FIELD)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"sky_stretch": "log"}, "got --sky_stretch=log without --sky_limits"),
        ({"sky_percentile": 99.0}, "got --sky_percentile=99.0 without --sky_limits"),
        ({"sky_asinh_a": 0.5}, "got --sky_asinh_a=0.5 without --sky_limits"),
        ({"sky_limits": "zscale", "sky_percentile": 99.0}, "got --sky_percentile=99.0 and --sky_limits=zscale"),
        ({"sky_limits": "zscale", "sky_stretch": "log", "sky_asinh_a": 0.5}, "and --sky_stretch=log, to which it says"),
        ({"sky_limits": "zscale", "sky_asinh_a": 0.0}, "expected --sky_asinh_a above 0, got 0"),
    ],
)
def test_flags_that_say_nothing_are_a_problem_of_one_sentence(flags, words):
    (problem,) = sky_problems(RunConfig(**flags))
    assert words in problem


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"sky_limits": "zscale"},
        {"sky_limits": "percentile", "sky_percentile": 99.9, "sky_asinh_a": 0.02},
        {"sky_limits": "minmax", "sky_stretch": "log"},
    ],
)
def test_flags_that_fit_are_no_problem(flags):
    assert sky_problems(RunConfig(**flags)) == []


def test_without_astropy_the_run_does_not_begin(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (problem,) = sky_problems(RunConfig(sky_limits="zscale"))
    assert problem.endswith("python -m pip install 'retrain-photos[astro]'")
    assert sky_problems(RunConfig()) == []


def test_flags_become_the_stretch():
    assert sky_of(RunConfig()) is None
    given = RunConfig(sky_limits="percentile", sky_percentile=99.0, sky_stretch="log")
    assert sky_of(given) == SkyStretch("percentile", 99.0, "log", 0.1)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("m13.fits", ".fits"), ("m13.FITS.GZ", ".fits.gz"), ("m13.fits.fz", ".fz"), ("a.tar.gz", ".tar.gz"), ("m13", ""),
        (".fits", ""), ("a.gz", ".gz"), ("m.13.fit", ".fit"),
    ],
)  # fmt: skip
def test_the_suffix_of_a_packed_file_has_two_parts(name, suffix):
    assert suffix_of(name) == suffix


@pytest.fixture
def skies(tmp_path):
    files = {
        "1.fits": FITS,
        "2.fit": FITS,
        "3.FTS": FITS,
        "4.fits.gz": fits_gz(FIELD),
        "5.tif": tiff(FIELD),
        "6.jpg": b"x",
    }
    return write_tree(tmp_path / "sky", {"a": files, "b": {"1.fits": FITS, "x.gz": gzip.compress(b"x")}})


def test_fits_and_tiff_are_listed_where_they_are_read(skies):
    for scan in (lambda: scan_folder(str(skies), "folder", suffixes=suffixes_for(sky=True)),
                 lambda: scan_photographs(skies.as_uri(), "folder", suffixes=suffixes_for(sky=True))):  # fmt: skip
        catalog = scan()
        assert catalog.count_by_label() == [6, 1]
        assert catalog.left_out == {"suffix of no known image format": 1}
        assert catalog.problems == ()
    problems, catalog = find_photographs(RunConfig(image_dir=str(skies), sky_limits="zscale"))
    assert (problems, len(catalog.records)) == ([], 7)
    _, deep = find_photographs(RunConfig(image_dir=str(skies), sky_limits="zscale", recursive=True))
    assert len(deep.records) == 7


def test_where_they_are_not_read_they_are_counted_and_an_empty_class_names_the_flag(skies):
    for catalog in (scan_folder(str(skies), "folder"), scan_photographs(skies.as_uri(), "folder")):
        assert catalog.count_by_label() == [1, 0]
        assert catalog.left_out == {SKY: 6, "suffix of no known image format": 1}
        (problem,) = catalog.problems
        assert problem.endswith(
            "b' holds no images but 1 file of FITS or TIFF; give --sky_limits=percentile to read them"
        )


def backbone(sky, precision="float32"):
    spec = find_backbone("mobilenet_0.50_224")
    spec = dataclasses.replace(spec, input_spec=dataclasses.replace(spec.input_spec, sky=sky))
    return PreparedBackbone(
        spec, WeightsFile(path=Path("w"), sha256="ab" * 32, source="official"), Path("t"), Path("g"), precision
    )


def test_features_of_two_stretches_never_lie_in_one_cache_and_those_of_none_where_they_lay():
    stretches = [None, STRETCH, SkyStretch("percentile", 98.0), SkyStretch("zscale"), SkyStretch("zscale", curve="log")]
    assert len({backbone(sky).fingerprint for sky in stretches}) == len(stretches)
    # As version 0.1.0 had it: caches made before there was a stretch are used as they are.
    spec = find_backbone("mobilenet_0.50_224")
    facts = (
        f'{{"architecture": "{spec.name}", "builder": "{spec.builder}", "conversion": 1, "input": {{"height": 224, '
        f'"mean": 127.5, "std": 127.5, "width": 224}}, "preprocessing": 1, "weights": "{"ab" * 32}"}}'
    )
    assert backbone(None).fingerprint == hashlib.sha256(facts.encode()).hexdigest()


@pytest.fixture
def extractor(tmp_path):
    (tmp_path / "tiny.tflite").write_bytes(tiny_tflite())
    return lambda sky: FrozenBackbone(tmp_path / "tiny.tflite", InputSpec(2, 2, 127.5, 127.5, sky), Distortion(True))


def test_vectors_and_views_are_made_of_the_stretched_picture(extractor):
    plain = encode(Image.fromarray(np.zeros((4, 4), np.uint8)))
    ramp = np.tile(np.linspace(0, 100, 64, dtype=np.float32), (64, 1))
    data = fits_bytes(ramp)
    linear = SkyStretch("minmax", curve="linear")
    vector, other = extractor(linear)(data), extractor(SkyStretch("minmax", curve="log"))(data)
    assert not np.array_equal(vector, other)
    views = extractor(linear).views(data, hashlib.sha256(data).digest(), [0, 1])
    assert any(np.allclose(view, vector, atol=0.02) for view in views)  # of two views one is not mirrored
    assert np.array_equal(extractor(linear)(plain), extractor(None)(plain))
    with pytest.raises(ImageError):
        extractor(None)(data)


def test_what_a_doctor_measures_is_the_stretched_picture_and_it_names_the_file():
    measured = fingerprint(FITS, STRETCH)
    assert (measured.format, measured.width, measured.height, measured.file_bytes) == ("FITS", 60, 40, len(FITS))
    assert measured.sha256 == hashlib.sha256(FITS).digest()
    assert measured.contrast > 20
    assert fingerprint(png16(FIELD), STRETCH).contrast > 20 > fingerprint(png16(FIELD)).contrast


def job(name, sky=STRETCH):
    return Job(f"a/{name}", f"a/{name}", 0, sky=sky)


@pytest.mark.parametrize(
    ("name", "data", "image_format", "kinds"),
    [
        ("a.fits", FITS, "FITS", ("stretched",)),
        ("a.fits.gz", fits_gz(FIELD), "FITS", ("stretched",)),
        ("a.jpg", FITS, "FITS", ("stretched", "wrong-suffix")),
        ("a.tif", tiff(FIELD), "TIFF", ("stretched",)),
        ("a.png", png16(FIELD), "16-bit PNG", ("stretched",)),
        ("a.fits", fits_bytes(FIELD[:20, :20]), "FITS", ("stretched", "tiny")),
        ("a.fits", FITS[:4000], "FITS", ("truncated",)),
        ("a.fits", fits_bytes(np.zeros((5, 4, 4), np.int16)), "FITS", ("not-an-image",)),
        ("a.tif", tiff(np.zeros((40, 60), np.uint8)), "TIFF", ("not-an-image",)),
        ("a.jpg", encode(noise(40, 60), "JPEG"), "JPEG", ("good",)),
    ],
)
def test_the_doctor_says_what_a_run_with_the_same_flags_does(name, data, image_format, kinds):
    facts = examine_bytes(job(name), data)
    assert (facts.format, facts.kinds) == (image_format, kinds)
    assert (facts.print is not None) == (kinds[0] in ("stretched", "good"))


def test_without_the_flags_the_doctor_says_what_it_said(tmp_path):
    assert examine_bytes(job("a.fits", None), FITS).kinds == ("unread-format",)
    assert examine_bytes(job("a.png", None), png16(FIELD)).kinds == ("16-bit",)
    (tmp_path / "x.dat").write_bytes(FITS)
    for sky, kind in ((None, "unread-format"), (STRETCH, "unknown-suffix")):
        assert examine(Job("a/x.dat", str(tmp_path / "x.dat"), -1, sky=sky)).kinds == (kind,)


def test_exports_that_decode_are_not_fed_what_they_cannot_stretch(tmp_path):
    files = {"1.jpg": encode(noise(8, 8), "JPEG"), "2.fits": FITS, "3.png": png16(FIELD), "4.png": encode(noise(8, 8))}
    folder = write_tree(tmp_path / "p", {"a": files}) / "a"
    paths, labels = [str(folder / name) for name in files], np.zeros(4, np.intp)
    sky = Yardstick(paths, labels, InputSpec(8, 8, 0, 1, STRETCH), tmp_path)
    assert sky.files("saved_model")[0] == [0, 3]
    assert sky.files("graph")[0] == [0]
    assert sky.pixels.shape == (4, 8, 8, 3)
    assert Yardstick(paths, labels, InputSpec(8, 8, 0, 1), tmp_path).files("saved_model")[0] == [0, 1, 2, 3]


def classifier(sky):
    bundle = bundle_of([str(number) for number in range(12)], sky=sky)
    return Classifier(bundle, LiteRuntime(tiny_tflite(), 2, 2))


def test_a_classifier_stretches_as_its_model_says(tmp_path):
    (tmp_path / "1.fits").write_bytes(FITS)
    open_one, plain = classifier(STRETCH), classifier(None)
    wanted = open_one.scores(FITS)
    assert np.array_equal(open_one.scores(tmp_path / "1.fits"), wanted)
    assert not np.array_equal(classifier(SkyStretch("minmax")).scores(FITS), wanted)
    (result,) = plain.classify_many([tmp_path / "1.fits"])
    assert "FITS and TIFF with --sky_limits" in str(result.error)
    held = (FIELD - 900).astype(np.uint16)
    assert np.array_equal(open_one.scores(Image.fromarray(held)), open_one.scores(tiff(held)))
    jpeg = encode(noise(8, 8), "JPEG")
    assert np.array_equal(open_one.scores(jpeg), plain.scores(jpeg))


def test_a_folder_is_walked_as_the_model_reads_it(skies):
    assert source_problems([str(skies / "b")], ()) == []
    walk = skipping((), sky=True)
    assert len(list(photographs([str(skies)], walk))) == 7
    plain = skipping(())
    assert [Path(one.path).name for one in photographs([str(skies)], plain)] == ["6.jpg"]
    assert plain.left_out["FITS or TIFF, and the model was trained without --sky_limits"] == 6


def test_a_picture_from_standard_input_gets_the_name_of_its_format():
    assert file_name(Photograph(STDIN, FITS)) == "stdin.fits"
    assert file_name(Photograph(STDIN, png16(FIELD))) == "stdin.png"
    assert deep_format(b"") == ""
