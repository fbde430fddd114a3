import os

from retrain.insight.free_names import FreeNames


def test_a_name_is_given_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/m13.jpg").write_bytes(b"x")
    names = FreeNames(tmp_path)
    assert [names.take("a/m13.jpg") for _ in range(3)] == ["a/m13-2.jpg", "a/m13-3.jpg", "a/m13-4.jpg"]
    assert names.take("b/m13.jpg") == "b/m13.jpg"
    assert names.take("b/m13.jpg") == "b/m13-2.jpg"


def test_large_and_small_letters_and_decomposed_ones_are_one_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/e\u0301.jpg").write_bytes(b"x")
    names = FreeNames(tmp_path)
    assert names.take("a/\u00c9.JPG") == "a/\u00c9-2.JPG"
    assert names.take("a/\u00e9-2.jpg") == "a/\u00e9-2-2.jpg"


def test_a_name_as_long_as_a_name_may_be_stays_so(tmp_path):
    long = "\u00e9" * 125 + ".jpg"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / long).write_bytes(b"x")
    made = FreeNames(tmp_path).take(f"a/{long}")
    assert len(os.fsencode(made)) <= 2 + 255
    assert made.endswith("-2.jpg")
    (tmp_path / made).write_bytes(b"y")


def test_many_of_one_name_are_numbered_through(tmp_path):
    names = FreeNames(tmp_path)
    assert len({names.take("a/image.jpg") for _ in range(5000)}) == 5000
