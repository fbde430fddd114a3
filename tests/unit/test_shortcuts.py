import numpy as np
import pytest
from PIL import Image, ImageOps
from support import encode

from retrain.alike.fingerprints import fingerprint, gathered
from retrain.doctor import shortcuts
from retrain.doctor.patterns import name_pattern
from retrain.doctor.shortcuts import PROPERTIES, find_shortcuts, shortcut_findings
from retrain.survey.findings import COSTS, NOTE

NAMES = ("open cluster", "globular cluster")


def picture(rng):
    cells = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return cells.resize((int(rng.integers(70, 100)), int(rng.integers(60, 90))), Image.Resampling.BICUBIC)


def jpeg(image, quality=90, **options):
    return encode(image, "JPEG", quality=quality, **options)


def exif(camera):
    tags = Image.Exif()
    tags[0x0110] = camera
    return tags


PLANTED = {
    "size": lambda image: jpeg(image.resize((image.width // 2, image.height // 2))),
    "compression": lambda image: jpeg(image, 50),
    "border": lambda image: jpeg(ImageOps.expand(image, 3)),
    "format": encode,
    "camera": lambda image: jpeg(image, exif=exif("Seestar S50")),
    "aspect": lambda image: jpeg(image.resize((image.width, image.width))),
    "brightness": lambda image: jpeg(image.point(lambda value: value // 3)),
}


def planted(kind, seed=0, count=60):
    """Half of the photographs, drawn at random, are the second class and have what is planted."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(count) % 2
    contents = [PLANTED[kind](picture(rng)) if label else jpeg(picture(rng)) for label in labels]
    return table(contents), labels.tolist()


def table(contents, names=None):
    return gathered(names or [f"{n}.jpg" for n in range(len(contents))], map(fingerprint, contents))


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_shortcut_is_found(kind):
    found = find_shortcuts(*planted(kind), NAMES)
    best = next(one for one in found if one.property.kind == kind)
    assert best.accuracy >= 0.8
    assert best.p_value <= 0.01


@pytest.mark.parametrize("seed", range(10))
def test_a_split_without_reason_raises_no_alarm(seed):
    rng = np.random.default_rng(seed)
    assert find_shortcuts(CLEAN, (rng.permutation(80) % 2).tolist(), NAMES) == []


def clean():
    rng = np.random.default_rng(5)
    return table([jpeg(picture(rng), int(rng.integers(60, 95))) for _ in range(80)])


CLEAN = clean()


def test_of_many_classes_the_one_with_the_shortcut_is_named():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    prints = table([jpeg(picture(rng), 50 if label == 2 else 90) for label in labels])
    found = find_shortcuts(prints, labels.tolist(), list("abcd"))
    assert (found[0].property.kind, found[0].label, found[0].accuracy) == ("compression", 2, 1.0)


def test_a_finding_says_what_how_well_and_what_to_do():
    finding = next(one for one in shortcut_findings(*planted("camera"), NAMES) if one.kind == "shortcut-camera")
    assert finding.severity == COSTS
    assert (
        "the camera named in the file alone tells 'open cluster' from the other classes with 100% acc" in finding.text
    )
    assert "chance: 50%" in finding.text
    assert "telescope" in finding.fix
    assert finding.examples == ("open cluster: 100%", "globular cluster: 100%")


def test_what_lies_in_the_picture_may_be_real():
    findings = {one.kind: one for one in shortcut_findings(*planted("brightness"), NAMES)}
    assert findings["shortcut-brightness"].severity == NOTE
    assert "may be a property of the class" in findings["shortcut-brightness"].text


def named(make):
    return shortcut_findings(
        table(CONTENTS, [make(n) for n in range(80)]), [n % 2 for n in range(80)], ("cats", "dogs")
    )


CONTENTS = [encode(Image.new("RGB", (20, 20), (9 * (number % 7), 0, 0))) for number in range(80)]


def test_names_that_hold_the_class_are_no_news_but_sources_are():
    assert named(lambda n: f"{'cat' if n % 2 == 0 else 'dog'}.{n}.jpg") == []
    [found] = named(lambda n: f"IMG_{n}.jpg" if n % 2 == 0 else f"{n}_{n * 977:x}7.jpg")
    assert (found.kind, found.severity) == ("shortcut-name", NOTE)
    assert "does not see names" in found.text


@pytest.mark.parametrize(
    ("path", "label", "pattern"),
    [
        ("x/IMG_0123.jpg", "x", "img_#.jpg"),
        ("daisy/10172567486_2748826a8b_n.jpg", "daisy", "#_#_n.jpg"),
        ("dogs/dog.7.JPG", "dogs", ".#.JPG"),
        ("globular cluster/globular-m13.png", "globular cluster", "-m#.png"),
        ("cardboard/cardboard12.jpg", "cardboard", "#.jpg"),
        ("x/decade", "x", "decade"),
    ],
)
def test_a_pattern_is_how_a_name_is_made(path, label, pattern):
    assert name_pattern(path, label) == pattern


@pytest.mark.parametrize("labels", [[], [0] * 40, [0] * 40 + [1] * 9])
def test_what_cannot_be_told_from_chance_is_not_tried(labels):
    prints, _ = planted("format", count=max(len(labels), 1))
    rows = len(labels)
    some = gathered([], []) if not rows else prints
    assert find_shortcuts(some, labels, NAMES) == []


def test_more_photographs_than_are_looked_at(monkeypatch):
    monkeypatch.setattr(shortcuts, "_MOST_PHOTOGRAPHS", 50)
    assert find_shortcuts(*planted("format", count=90), NAMES)[0].property.kind in ("format", "compression")


def test_the_answer_is_the_same_each_time():
    assert find_shortcuts(*planted("size"), NAMES) == find_shortcuts(*planted("size"), NAMES)


def test_a_perfect_property_is_right_always_and_a_constant_one_half_the_time():
    counts = np.zeros((5, 2, 3))
    counts[:, 0, 0] = counts[:, 1, 2] = 4
    assert shortcuts._balanced_accuracy(counts).tolist() == [1.0, 1.0]
    counts = np.zeros((5, 2, 1)) + 4
    assert shortcuts._balanced_accuracy(counts).tolist() == [0.5, 0.5]


def test_every_property_has_a_remedy():
    assert {one.kind for one in PROPERTIES} == set(shortcuts._FIXES)
