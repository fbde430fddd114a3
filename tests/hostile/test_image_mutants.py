"""Mutants of images in every way that reads bytes: pictures or an ImageError; no crash, no hang, no gigabyte.

20,000 a run, on all cores; a million in scripts/soak/images.py. What was found stands in finds/ and is read each time.
"""

from __future__ import annotations

import hashlib
import os
import shutil

import mutants
import mutants_child
import mutants_run
import numpy as np
import pytest
import seeds_images
from label_support import by_colour

from retrain.errors import ImageError
from retrain.images import InputSpec, decode_rgb

# On two busy cores some 60 s. CI draws the same ones each time: others are the soak's.
COUNT, SEED = 20_000, 0
SPEC = InputSpec(16, 24, 127.5, 127.5)


@pytest.fixture(scope="module")
def seeds():
    return seeds_images.seeds()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return mutants_run.run(SEED, 0, COUNT, tmp_path_factory.mktemp("mutants"))


def total(reports, name):
    return sum(report["counts"].get(name, 0) for report in reports)


def test_no_mutant_crashes_hangs_or_raises_anything_but_an_image_error(reports):
    assert [found for report in reports for found in report["broken"]] == []
    assert total(reports, "cases") == COUNT


def test_no_mutant_takes_a_gigabyte(reports):
    assert {
        at: rss for report in reports for at, rss in report["rss_by"].items() if rss >= mutants_child.MOST_RSS
    } == {}


def test_mutants_get_past_the_first_check_but_are_not_all_whole(reports):
    """Mutants that are all refused by their first bytes, or none, would test nothing."""
    decoded, refused = total(reports, "decoded"), total(reports, "refused")
    assert decoded + refused == COUNT
    assert min(decoded, refused) > COUNT // 10
    assert total(reports, "damaged") > COUNT // 2


def test_nothing_is_said_of_mutants_but_their_errors(reports):
    assert {kind: at for report in reports for kind, at in report["warned"].items()} == {}


def test_seeds_are_many_and_of_every_kind(seeds):
    names = [name for name, _ in seeds]
    assert len(set(names)) == len(names) >= 200
    assert len({data for _, data in seeds}) >= 200
    kinds = [name.split()[0] for name in names]
    fewest = {"jpeg": 90, "png": 60, "gif": 15, "bmp": 25, "webp": 15, "fits": 15, "tiff": 12}
    assert {kind for kind, count in fewest.items() if kinds.count(kind) < count} == set()


def test_most_seeds_are_read(seeds):
    read = 0
    for _, data in seeds:
        try:
            read += decode_rgb(data, SPEC).shape == (16, 24, 3)
        except ImageError:
            continue
    assert read >= 200


def test_a_mutant_is_a_function_of_seed_and_number(seeds):
    made = [mutants.mutant(seeds, 3, number) for number in range(300)]
    assert [mutants.mutant(seeds, 3, number) for number in range(300)] == made
    assert len(set(made)) > 250
    assert max(map(len, made)) <= mutants.MOST_BYTES
    assert mutants.mutant(seeds, 4, 0) != made[0]


def test_every_change_changes_something(seeds):
    rng = mutants.random.Random(0)
    plain = dict(seeds)["jpeg quality 75"]
    fits = dict(seeds)["fits header"]
    for change in set(mutants.CHANGES):
        assert any(change(data, rng, seeds) != data for data in (plain, fits) for _ in range(50)), change.__name__


def test_what_was_found_once_is_refused_or_read(tmp_path):
    paths = [path for path in sorted(seeds_images.FINDS.iterdir()) if path.suffix != ".md"]
    assert paths
    record = tmp_path / "record"
    found = mutants_run.finish(mutants_run.start("--files", *paths, record=record), record)
    assert (found["broken"], found["counts"]["cases"]) == ([], len(paths))
    assert found["rss"] < mutants_child.MOST_RSS


def test_awkward_images_are_refused_or_read(tmp_path):
    folder = os.environ.get("RETRAIN_AWKWARD")
    if not folder:
        pytest.skip("RETRAIN_AWKWARD names no folder of awkward images")
    paths = [tmp_path / f"{number}.bin" for number, _ in enumerate(seeds_images.awkward(10**9))]
    for path, (_, data) in zip(paths, seeds_images.awkward(10**9), strict=True):
        path.write_bytes(data)
    found = mutants_run.finish(mutants_run.start("--files", *paths, record=tmp_path / "record"), tmp_path / "record")
    shutil.rmtree(tmp_path)
    assert (found["broken"], found["counts"]["cases"]) == ([], len(paths))
    assert found["rss"] < mutants_child.MOST_RSS


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True: pass", "hung at 1"),
        ("import os; os.abort()", "crashed by SIGABRT at 1"),
        ("import ctypes; ctypes.string_at(0)", "crashed by SIGSEGV at 1"),
        ("import sys; sys.exit(7)", ""),
        ("raise KeyError('other')", ""),
        ("bytearray(1100 << 20)[::4096] = bytes(281600)", ""),
    ],
)
def test_what_is_looked_for_would_be_seen(tmp_path, monkeypatch, code, said):
    script = tmp_path / "child.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = {[str(mutants_run.CHILD.parent), str(mutants_run.CHILD.parents[1])]!r}\n"
        "import mutants_child\n"
        "mutants_child.HANG_S = 2\n"
        f"def broken(data):\n    if data == b'1':\n        {code}\n"
        "mutants_child.ways = lambda: {'broken': broken}\n"
        "sys.exit(mutants_child.main(sys.argv[1:]))\n"
    )
    for name in "01":
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(mutants_run, "CHILD", script)
    child = mutants_run.start("--files", tmp_path / "0", tmp_path / "1", record=tmp_path / "record")
    if said:
        with pytest.raises(mutants_run.Ended, match=said):
            mutants_run.finish(child, tmp_path / "record")
        return
    found = mutants_run.finish(child, tmp_path / "record")
    is_large = "bytearray" in code
    assert [(one["number"], one["way"]) for one in found["broken"]] == ([] if is_large else [(1, "broken")])
    assert (found["rss"] >= mutants_child.MOST_RSS) == is_large


def test_all_pixels_of_a_seed_are_numbers_whatever_way_it_is_read(seeds):
    data = dict(seeds)["jpeg quality 75"]
    answers = {name: do(data) for name, do in mutants_child.ways().items()}
    assert answers["training"].shape == answers["tf1"].shape == (16, 24, 3)
    assert np.isfinite(answers["tf1"]).all()
    assert answers["upright"].mode == "RGB"
    assert answers["format"] == "JPEG"
    assert answers["doctor"].print.sha256 == hashlib.sha256(data).digest()
    assert answers["sky"] is None


def outcome(read):
    try:
        return read()
    except ImageError as error:
        return str(error)


def test_what_is_labelled_has_the_pixels_that_training_saw(seeds):
    """R24: whatever kind of file it is, turned, transparent or refused."""
    with by_colour() as model:
        for name, data in seeds:
            trained_on = outcome(lambda data=data: model.scores(decode_rgb(data, model.bundle.input_spec)))
            labelled = outcome(lambda data=data: model.scores(data))
            assert np.array_equal(trained_on, labelled), name
