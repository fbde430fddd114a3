"""The arithmetic, the parsing and the layout of bench/run.py; what it measures is not tested here."""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from collections import Counter
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from support import bench_on_path


@pytest.fixture(scope="module", autouse=True)
def _bench_on_path():
    with bench_on_path():
        yield


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for label, colours in (("red", 3), ("blue", 2)):
        (folder / label).mkdir(parents=True)
        for number in range(colours):
            Image.new("RGB", (40, 30), (9 * number, 0, 0)).save(folder / label / f"{number}.jpg")
    return folder


def samples(*walls, cpu=1.0):
    from sides import Sample

    return [Sample(wall, cpu) for wall in walls]


def test_rates_that_share_the_cores_add_up_as_times():
    from bound import in_turn

    assert in_turn(100.0, 100.0) == pytest.approx(50)
    assert in_turn(200.0) == pytest.approx(200)


def test_the_shares_of_the_bounds():
    from bound import Rates

    rates = Rates(gemm_flops_per_s=4e9, flops=1e6, decode_per_s=4000, engine_per_s=1000, extraction_per_s=600)
    assert rates.physical_per_s == pytest.approx(2000)
    assert rates.share_of_physical == pytest.approx(0.3)
    assert rates.parts_per_s == pytest.approx(800)
    assert rates.share_of_parts == pytest.approx(0.75)


def test_a_rate_does_every_item_once_and_a_warm_up_a_thread():
    from bound import rate

    done = Counter()
    assert rate(lambda item: done.update([item]), ["a", "b", "c"], threads=2) > 0
    assert done == {"a": 3, "b": 1, "c": 1}


def test_work_that_fails_at_once_says_why():
    from bound import rate

    with pytest.raises(ZeroDivisionError):
        rate(lambda item: item // 0, [1, 2], threads=2)


def test_work_that_fails_later_says_why():
    from bound import rate

    with pytest.raises(ZeroDivisionError):
        rate(lambda item: 1 // item, [1, 2, 0], threads=2)


def test_the_peak_of_sgemm_is_a_number_of_operations():
    import bound

    bound.GEMM_SIDE = 16
    assert bound.gemm_peak(1, seconds=0.0) > 0


def test_wide_kernels_are_tried_only_where_the_processor_has_them():
    from bound import gemm_kernels

    wide = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    assert gemm_kernels({"sse", *wide}) == ("", "SkylakeX")
    assert gemm_kernels(wide - {"avx512bw"}) == ("",)
    assert gemm_kernels(set()) == ("",)


def test_ratios_are_taken_round_by_round_as_far_as_both_took_part():
    from common import ratios

    assert ratios([6.0, 9.0], [2.0, 3.0]) == [3, 3]
    assert ratios([6.0], [2.0, 3.0]) == [3]


def test_a_difference_is_what_one_child_took_beyond_another():
    from common import Child
    from sides import difference

    sample = difference(Child(12.0, 11.0, 300.0, "", ""), Child(2.0, 3.0, 200.0, "", ""))
    assert (sample.wall_s, sample.cpu_s, sample.peak_mb) == (10, 8, 300)


@pytest.mark.parametrize(
    ("wall", "cpu", "got", "said"),
    [
        (None, None, (1, 1), ""),
        (6, None, (6, 1), "yes"),
        (6, None, (5.9, 1), "no"),
        (3, 2, (3.1, 1.9), "no"),
        (3, 2, (3.1, 2.0), "yes"),
    ],
)
def test_a_goal_is_reached_when_all_of_it_is(wall, cpu, got, said):
    from cases import Goal

    assert Goal(wall, cpu).reached(*got) == said


def test_goals_are_spelt_out():
    from cases import Goal

    assert str(Goal(3, 2)) == ">= 3 x wall, >= 2 x CPU"
    assert str(Goal()) == ""


def case_lines(measured, whys, name="extract"):
    from cases import CASES, Sizes, lines_of

    (case,) = [case for case in CASES if case.name == name]
    sizes = Sizes(1000, 100, {"run500": 500, "run4000": 4000})
    return {line.figure.strip(): line for line in lines_of(case, sizes, measured, whys)}


def test_every_side_has_a_line_and_the_median_of_its_ratios_decides():
    measured = {
        "ours": {"extract": samples(2.0, 4.0, 2.0)},
        "codelab": {"extract": samples(20.0, 20.0, 14.0, cpu=3.0)},
        "Keras": {"extract": samples(4.0, 8.0, 4.0)},
    }
    lines = case_lines(measured, {"torchvision": {"": "not installed: pip"}})
    ours, codelab = lines["cold extraction, 1,000 photographs"], lines["the codelab's scripts, TensorFlow 1.15"]
    assert ours.measured.startswith("500 images/s")
    assert codelab.facts["times_ours_wall"] == [10, 5, 7]
    assert (codelab.goal, codelab.reached) == (">= 6 x wall", "yes")
    assert codelab.measured.startswith("7.0 x (5.0 to 10.0, 3 runs), 3.0 x CPU: 50 images/s")
    assert lines["the Keras idiom"].reached == "no"
    assert lines["torchvision and scikit-learn"].measured == "not installed: pip"


def test_a_figure_that_a_side_does_not_have_says_why():
    measured = {"ours": {"cold": samples(2.0), "warm": samples(1.0)}, "Keras": {"cold": samples(8.0)}}
    whys = {"Keras": {"warm": "keeps no cache"}, "codelab": {"": "not given"}}
    from cases import CASES, Sizes, lines_of

    (case,) = [case for case in CASES if case.name == "run4000"]
    lines = list(lines_of(case, Sizes(1000, 100, {"run4000": 4000}), measured, whys))
    keras = [line.measured for line in lines if "Keras" in line.figure]
    assert keras[0].startswith("4.0 x")
    assert keras[1] == "keeps no cache"
    assert [line.measured for line in lines if "codelab" in line.figure] == ["not given"] * 2
    assert lines[0].figure == "whole run, 1,000 photographs, 4,000 steps, cold"


def test_the_lines_of_the_bound():
    from bound import Rates
    from cases import bound_lines

    lines = {line.figure.strip(): line for line in bound_lines([Rates(4e9, 1e6, 4000, 1000, 760)])}
    assert lines["share of sgemm peak and decode"].reached == "no"
    assert lines["share of engine and decode"].reached == "yes"
    assert lines["bound: sgemm peak, all cores"].measured.startswith("4 GFLOP/s")


def test_the_clock_allows_what_ends_in_time():
    from cases import Clock

    now = [100.0]
    clock = Clock(60.0, lambda: now[0])
    assert clock.allows(60.0)
    now[0] = 130.0
    assert clock.elapsed_s() == 30
    assert not clock.allows(31.0)
    assert clock.allows(30.0)


def test_after_the_first_round_only_sides_with_a_goal_have_their_turn():
    from cases import CASES

    cases = {case.name: case for case in CASES}
    assert all(case.takes_part(side, 0) for case in CASES for side in ("ours", "codelab", "Keras", "torchvision"))
    sides = ("ours", "codelab", "Keras", "torchvision")
    assert [side for side in sides if cases["extract"].takes_part(side, 1)] == ["ours", "codelab", "Keras"]
    assert [side for side in sides if cases["run4000"].takes_part(side, 1)] == ["ours", "codelab"]
    assert [side for side in sides if cases["help"].takes_part(side, 1)] == list(sides)
    assert [side for side in sides if cases["label"].takes_part(side, 1)] == ["ours", "codelab"]


def test_the_script_that_is_kept_alive_takes_part_in_labelling_only():
    from cases import CASES

    assert [case.name for case in CASES if case.takes_part("codelab kept", 0)] == ["label"]
    (label,) = [case for case in CASES if case.name == "label"]
    assert label.takes_part("codelab kept", 1)


def test_labelling_has_a_goal_on_both_tensorflows():
    measured = {
        "ours": {"label": samples(0.2, 0.2)},
        "codelab": {"label": samples(0.7, 0.8)},
        "codelab kept": {"label": samples(1.4, 1.6)},
    }
    lines = case_lines(measured, {"Keras": {"": "none"}, "torchvision": {"": "none"}}, "label")
    old = lines["the codelab's scripts, TensorFlow 1.15"]
    kept = lines["the codelab's label_image.py, TensorFlow 2"]
    assert (old.goal, old.reached, kept.goal, kept.reached) == (">= 3 x wall", "yes", ">= 8 x wall", "no")


def test_a_script_of_tensorflow_1_is_given_the_old_names(tmp_path, monkeypatch):
    import codelab_kept

    done = []
    old = ModuleType("tensorflow.compat.v1")
    old.disable_v2_behavior = lambda: done.append("disabled")
    old.Session = "a session"
    for name in ("tensorflow", "tensorflow.compat"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "tensorflow.compat.v1", old)
    monkeypatch.setattr(sys.modules["tensorflow"], "compat", sys.modules["tensorflow.compat"], raising=False)
    monkeypatch.setattr(sys.modules["tensorflow.compat"], "v1", old, raising=False)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, pathlib\nimport tensorflow as tf\n"
        "if __name__ == '__main__':\n    pathlib.Path(sys.argv[1]).write_text(tf.Session)\n"
    )
    monkeypatch.setattr(sys, "argv", ["codelab_kept.py", str(script), str(tmp_path / "said")])
    codelab_kept.main()
    assert (tmp_path / "said").read_text() == "a session"
    assert done == ["disabled"]


def test_quick_has_one_round_and_the_same_cases():
    from cases import CASES, Scale

    assert {Scale.quick().rounds(case) for case in CASES} == {1}
    assert Scale.full().steps.keys() == Scale.quick().steps.keys()
    assert [case.name for case in CASES if case.name.startswith("run")] == ["run4000", "run500"]


def test_created_bottlenecks_are_read_off_both_logs():
    from sides import codelab_count, our_count

    log = "INFO:tensorflow:Creating bottleneck at /a/b.txt\nI1122 06:30:17.5 1 retrain.py:333] Creating bottleneck at /a/b"
    assert codelab_count(log) == 1
    assert codelab_count("INFO:tensorflow:Looking for images in 'x'\n") == 0
    assert our_count("Backbone x\n84 bottleneck files created. 84 bottlenecks in use\n") == 84


def test_a_run_that_does_not_say_what_it_created_stops_the_benchmark():
    from sides import expect_created, our_count

    with pytest.raises(SystemExit, match="expected"):
        our_count("nothing of the kind")
    with pytest.raises(SystemExit, match="got 0"):
        expect_created(0, 10, "a cold run")


def test_copies_are_distinct_and_fill_every_side_of_the_codelab(source, tmp_path):
    from photographs import lay_out

    from retrain.dataset.split import poets_percentage

    target = tmp_path / "target"
    assert lay_out(source, target, 41) == 40
    for label in ("red", "blue"):
        files = sorted((target / label).iterdir())
        assert len({path.read_bytes() for path in files}) == len(files) == 20
        places = Counter(min(int(poets_percentage(str(path)) // 10), 2) for path in files)
        assert places == {0: 2, 1: 2, 2: 16}


def test_large_photographs_have_the_size_asked_for(source, tmp_path):
    from photographs import lay_out_large

    target = tmp_path / "target"
    assert lay_out_large(source, target, 4, (120, 80)) == 4
    files = list(target.glob("*/*.jpg"))
    assert {Image.open(io.BytesIO(path.read_bytes())).size for path in files} == {(120, 80)}


def mobilenet_arrays(width):
    """Arrays in the order of Keras' get_weights(), all ones, of a MobileNet V1 of that many features."""
    filters = [max(8, f * width // 1024) for f in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)]
    arrays = [np.ones((3, 3, 3, filters[0])), *[np.ones(filters[0])] * 4]
    for before, after in pairwise(filters):
        arrays += [np.ones((3, 3, before, 1)), *[np.ones(before)] * 4]
        arrays += [np.ones((1, 1, before, after)), *[np.ones(after)] * 4]
    return [array.astype(np.float32) for array in arrays]


def test_the_archive_is_where_the_codelab_looks_and_google_s_graph_in_shape(tmp_path):
    from codelab_peer import write_archive

    from retrain.backbones.slim import read_slim_mobilenet

    np.savez(tmp_path / "weights.npz", **{f"{i:03d}": array for i, array in enumerate(mobilenet_arrays(32))})
    path = write_archive(tmp_path / "weights.npz", tmp_path / "models")
    assert path.name == "mobilenet_v1_0.50_224_frozen.tgz"
    with tarfile.open(path) as archive:
        member = archive.extractfile("mobilenet_v1_0.50_224/frozen_graph.pb")
        assert member is not None
        content = member.read()
    # What reads Google's archives reads this one.
    weights = read_slim_mobilenet(content)
    assert weights.head_kernel is not None
    assert weights.head_kernel.shape == (32, 1001)
    assert len(weights.arrays) == 27 * 5


def test_the_graph_has_the_nodes_that_the_codelab_names():
    from codelab_peer import frozen_graph
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef.FromString(frozen_graph(mobilenet_arrays(32)))
    nodes = {node.name: node for node in graph.node}
    assert len(nodes) == len(graph.node)
    assert {"input", "MobilenetV1/Predictions/Reshape"} <= nodes.keys()
    assert all(name in nodes for node in graph.node for name in node.input)
    assert Counter(node.op for node in graph.node)["DepthwiseConv2dNative"] == 13


def arguments(tmp_path, **changes):
    given = {"codelab_retrain": None, "codelab_label": None, "photographs": tmp_path, "minutes": 14.0}
    return argparse.Namespace(**(given | changes))


def test_all_that_is_wrong_is_said_at_once(source, tmp_path):
    from run import find_problems

    assert find_problems(arguments(source)) == []
    wrong = arguments(tmp_path / "none", codelab_retrain=tmp_path / "no.py", minutes=0)
    said = " ".join(find_problems(wrong))
    assert "--codelab_retrain" in said
    assert "--photographs" in said
    assert "--minutes" in said


def test_a_peer_that_is_missing_says_how_to_get_it(source, tmp_path, monkeypatch):
    from contextlib import ExitStack

    import run
    from cases import CASES, Clock, Scale

    monkeypatch.setattr(run, "find_spec", lambda name: None)
    given = arguments(source, tf115_python=None, torch_python=tmp_path / "no_python")
    with ExitStack() as stack:
        bench = run.Bench(tmp_path, given, Scale.quick(), stack)
        bench.__dict__["backbone"] = None  # stands for a converted one, which would need TensorFlow
        monkeypatch.setattr(run.Ours, "help", lambda self: {"help": samples(1.0)[0]})
        (case,) = [case for case in CASES if case.name == "help"]
        lines = list(bench.run(case, Clock(60.0)))
    assert len(lines) == 4
    assert "--codelab_retrain was not given" in lines[1].measured
    assert "pip install tensorflow" in lines[2].measured
    assert "torchvision" in lines[3].measured


def test_a_peer_that_fails_is_out_and_its_line_says_why(source, tmp_path, monkeypatch, capsys):
    from contextlib import ExitStack

    import run
    from cases import CASES, Clock, Scale

    def fail():
        raise SystemExit("retrain.py\nfailed with 1:\nno such thing")

    class Failing:
        def __init__(self):
            self.lacks = {}

        def help(self):
            fail()

    monkeypatch.setattr(run.Ours, "help", lambda self: {"help": samples(1.0)[0]})
    with ExitStack() as stack:
        bench = run.Bench(tmp_path, arguments(source), Scale.full(), stack)
        bench.__dict__["sides"] = {"ours": run.Ours(None, tmp_path), "codelab": Failing()}
        lines = list(bench.run(CASES[0], Clock(60.0)))
    assert lines[0].measured.startswith("1.00 s")
    assert lines[1].measured == "failed: no such thing"
    assert "failed with 1" in capsys.readouterr().err


def test_no_case_starts_when_the_time_is_used_up(source, tmp_path):
    from contextlib import ExitStack

    import run
    from cases import CASES, Clock, Scale

    now = iter([0.0, 61.0])
    with ExitStack() as stack:
        bench = run.Bench(tmp_path, arguments(source), Scale.full(), stack)
        (line,) = bench.run(CASES[2], Clock(60.0, lambda: next(now)))
    assert "not measured" in line.measured
