import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from support import encode

from retrain.alike.fingerprints import fingerprint, gathered
from retrain.doctor.quality import class_findings, quality_findings
from retrain.survey.findings import COSTS, NOTE


def scene(seed, level=128):
    rng = np.random.default_rng(seed)
    cells = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    return ImageEnhance.Brightness(cells.resize((160, 120), Image.Resampling.BICUBIC)).enhance(level / 128)


def judge(pictures, labels=None):
    contents = [encode(picture) for picture in pictures]
    prints = gathered([f"{number}.png" for number in range(len(contents))], map(fingerprint, contents))
    return {one.kind: one for one in quality_findings(prints, labels or [0] * len(contents))}


@pytest.mark.parametrize(
    ("kind", "odd"),
    [
        ("dark", scene(99, 20)),
        ("bright", Image.eval(scene(99), lambda value: 200 + value // 6)),
        ("blurred", scene(99).filter(ImageFilter.GaussianBlur(5))),
        ("plain", ImageOps.expand(scene(99).resize((40, 30)), 60, (128, 128, 128))),
    ],
)
def test_what_stands_out_of_its_class_is_named(kind, odd):
    found = judge([*map(scene, range(14)), odd])
    assert found[kind].examples == ("14.png",)
    assert (found[kind].severity, found[kind].count) == (NOTE, 1)


def test_a_dark_class_is_not_dark_for_itself():
    pictures = [*map(scene, range(14)), *(scene(seed, 15) for seed in range(14))]
    assert judge(pictures, [0] * 14 + [1] * 14) == {}


def test_a_small_class_is_compared_with_all():
    pictures = [*map(scene, range(14)), scene(20, 10)]
    assert judge(pictures, [0] * 14 + [1])["dark"].examples == ("14.png",)


def test_equal_photographs_have_no_outliers_by_a_grey_level():
    pictures = [scene(0)] * 13 + [ImageEnhance.Brightness(scene(0)).enhance(1.02)]
    assert judge(pictures) == {}


def test_one_colour_is_empty_and_nothing_else():
    found = judge([*map(scene, range(13)), Image.new("RGB", (90, 60)), Image.new("RGB", (90, 60), (250, 250, 250))])
    assert list(found) == ["empty"]
    assert (found["empty"].severity, found["empty"].examples) == (COSTS, ("13.png", "14.png"))


def test_a_sky_with_one_star_is_not_empty():
    sky = np.full((120, 160, 3), 6, np.uint8)
    sky[50:60, 80:90] = 255
    assert "empty" not in judge([Image.fromarray(sky)])


def test_no_photographs_have_no_faults():
    assert judge([]) == {}


def test_small_and_unequal_classes_are_said():
    few, unequal = class_findings(["many", "some", "few"], [300, 40, 7])
    assert (few.kind, few.examples, few.count) == ("few-photographs", ("few: 7",), 1)
    assert (unequal.kind, unequal.examples) == ("unequal-classes", ("many: 300", "few: 7"))
    assert "43 times" in unequal.text


@pytest.mark.parametrize("counts", [[20, 199], [30, 30], []])
def test_classes_that_are_large_and_alike_are_not_spoken_of(counts):
    assert class_findings([str(number) for number in range(len(counts))], counts) == []


def test_an_empty_class_is_small_but_divides_nothing():
    assert [one.kind for one in class_findings(["a", "b"], [0, 30])] == ["few-photographs"]
