"""Extraction on two nodes: every vector, equal to a local run's, whatever happens to nodes, workers and photographs."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
from extractors import Slow, ended, logged, said
from support import FINGERPRINT, WIDTH, digest, encode, fake_features, noise, tiny_tflite, write_tree

from retrain.backbones import FrozenBackbone
from retrain.bottlenecks import BottleneckStore, Job, collect_features
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.engines import LocalEngine, RayEngine, ray_crew, ray_engine
from retrain.errors import NumericalError, RetrainError, UsageError
from retrain.images import InputSpec


def contents(count):
    return [b"photo %d" % number for number in range(count)]


def comparable(answer):
    """All that an answer says but the time."""
    error = answer.error and (answer.error.reason, answer.error.detail)
    vector = None if answer.vector is None else answer.vector.tobytes()
    return answer.index, answer.sha256, vector, error, answer.stamp, answer.views


def test_every_answer_is_there_in_order_and_byte_equal_to_the_local_engines(joined, tmp_path, write_jobs, monkeypatch):
    (tmp_path / "tiny.tflite").write_bytes(tiny_tflite())
    backbone = FrozenBackbone(tmp_path / "tiny.tflite", InputSpec(2, 2, 127.5, 127.5))
    pictures = [encode(noise(12, 9, seed), "JPEG") for seed in range(150)]
    jobs = write_jobs([*pictures, b"no picture", b"", pictures[0][:99]])
    monkeypatch.chdir(tmp_path)
    jobs = [Job(7 * job.index, os.path.basename(job.path)) for job in jobs]  # noqa: PTH119 - as typed: relative
    jobs += [Job(2000, "gone.jpg"), Job(2001, "."), Job(2002, (tmp_path / "1.jpg").as_uri())]
    known = {digest(picture) for picture in pictures[:20]}
    here = list(LocalEngine(backbone).extract(jobs, known))
    there = list(RayEngine(backbone).extract(jobs, known))
    assert [answer.index for answer in there] == [job.index for job in jobs]
    assert sum(answer.vector is not None for answer in there) == 130
    # A folder is told by the path that was asked for, which is whole on a worker.
    reasons = [answer.error and answer.error.reason for answer in there]
    assert reasons[-6:] == ["not an image", "empty", "damaged", "unreadable", "not a file", None]
    assert [comparable(a)[:3] for a in there] == [comparable(a)[:3] for a in here]
    assert [a.stamp for a in there] == [a.stamp for a in here]


def test_both_nodes_work(joined, tmp_path, write_jobs):
    jobs = write_jobs(contents(120))
    answers = list(RayEngine(Slow(tmp_path / "log", 0.01)).extract(jobs, ()))
    assert [a.vector.tobytes() for a in answers] == [fake_features(c).tobytes() for c in contents(120)]
    shares = [process for process, _ in logged(tmp_path / "log")]
    assert len(shares) == 120
    assert min(shares.count(process) for process in set(shares)) >= 20
    assert len(set(shares)) == 2


def test_distorted_views_are_made_on_the_nodes_too(joined, tmp_path, write_jobs):
    from retrain.distortions import Distortion

    (tmp_path / "tiny.tflite").write_bytes(tiny_tflite())
    flips = FrozenBackbone(tmp_path / "tiny.tflite", InputSpec(2, 2, 127.5, 127.5), Distortion(flip_left_right=True))
    jobs = [replace(job, views=(0, 1, 5)) for job in write_jobs([encode(noise(4, 4, seed)) for seed in range(6)])]
    here, there = (list(engine(flips).extract(jobs, ())) for engine in (LocalEngine, RayEngine))
    assert [a.views.shape for a in there] == [(3, 12)] * 6
    assert [a.views.tobytes() for a in there] == [a.views.tobytes() for a in here]


def test_a_worker_that_is_killed_costs_nothing_but_time(joined, tmp_path, write_jobs):
    jobs, log = write_jobs(contents(200)), tmp_path / "log"
    answers = RayEngine(Slow(log, 0.01)).extract(jobs, ())
    taken = [next(answers) for _ in range(40)]
    os.kill(logged(log)[-1][0], signal.SIGKILL)
    taken += answers
    assert [a.vector.tobytes() for a in taken] == [fake_features(c).tobytes() for c in contents(200)]
    assert len({process for process, _ in logged(log)}) == 3
    assert len(logged(log)) <= 200 + 2 * ray_engine.BLOCK


def test_a_photograph_that_kills_its_worker_is_skipped_and_no_other(joined, tmp_path):
    classes = {"a": contents(70), "b": [b"b %d" % n for n in range(70)]}
    classes["a"][40] = b"poison"
    tree = {name: {f"{n:03}.jpg": c for n, c in enumerate(files)} for name, files in classes.items()}
    catalog = scan_folder(str(write_tree(tmp_path / "photos", tree)), "folder")
    with BottleneckStore(tmp_path / "cache.sqlite", FINGERPRINT, WIDTH) as store:
        listing = str(tmp_path / "skipped.csv")
        features = collect_features(catalog, store, RayEngine(said), Console(quiet=True), 5.0, listing)
    assert (tmp_path / "skipped.csv").read_text().splitlines() == [
        "path,reason,detail",
        'a/040.jpg,killed its worker twice,"a process that read it alone ended, two times"',
    ]
    expected = [c for files in classes.values() for c in files if c != b"poison"]
    assert features.matrix.tobytes() == b"".join(fake_features(c).tobytes() for c in expected)
    assert features.extracted == 139


@pytest.mark.parametrize(("content", "error"), [(b"nan", NumericalError), (b"bug", ZeroDivisionError)])
def test_an_error_that_ends_a_local_run_ends_this_one_as_well(joined, write_jobs, content, error):
    jobs = write_jobs([*contents(9), content])
    for engine in (LocalEngine, RayEngine):
        with pytest.raises(error, match=r"^(\S+/9\.jpg: not finite|a bug)$"):
            list(engine(said).extract(jobs, ()))


def test_workers_that_only_ever_die_end_the_run(joined, write_jobs, monkeypatch):
    monkeypatch.setattr(ray_crew, "_LOST_IN_A_ROW", 0)
    with pytest.raises(RetrainError, match="5 workers of Ray died one after the other without an answer; what came"):
        list(RayEngine(said).extract(write_jobs([b"poison"] * 6), ()))


def test_a_node_that_runs_something_else_is_refused_with_both_versions(joined, write_jobs, monkeypatch):
    monkeypatch.setattr(ray_crew, "versions", lambda: {"code": "0123", "pillow": "1.0"})
    with pytest.raises(UsageError, match=r"to run what runs here, got code \w+ there, 0123 here; pillow [\d.]+ there"):
        list(RayEngine(said).extract(write_jobs([b"x"]), ()))


def test_a_node_that_does_not_see_the_folder_is_refused_before_it_skips_everything(joined, write_jobs, monkeypatch):
    monkeypatch.setattr(ray_engine, "_folders", lambda job: ["/nowhere/photos"])
    with pytest.raises(UsageError, match=r"to see the folder /nowhere/photos, as this machine does; mount it there"):
        list(RayEngine(said).extract(write_jobs([b"x"]), ()))


def test_without_a_free_core_the_run_ends_with_how_many_there_are(joined, write_jobs, monkeypatch):
    import ray

    monkeypatch.setattr(ray_crew, "NO_WORKER_S", 0.5)

    class Greedy:
        def here(self):
            return True

    others = [ray.remote(num_cpus=1)(Greedy).remote() for _ in range(2)]
    try:
        ray.get([other.here.remote() for other in others])
        with pytest.raises(RetrainError, match="expected a worker of Ray within 0 s, got none; 0 of 2 cores are free"):
            list(RayEngine(said).extract(write_jobs([b"x"]), ()))
    finally:
        for other in others:
            ray.kill(other)


def test_workers_are_gone_when_the_caller_stops_asking(joined, tmp_path, write_jobs):
    answers = RayEngine(Slow(tmp_path / "log", 0.01)).extract(write_jobs(contents(500)), ())
    taken = [next(answers) for _ in range(10)]
    processes = {process for process, _ in logged(tmp_path / "log")}
    answers.close()
    assert len(taken) == 10
    for process in processes:
        assert ended(process)


# Last: Ray is busy with the lost node for a while.
def test_a_node_that_goes_down_costs_nothing_but_time_and_one_that_joins_gets_work(
    joined, tmp_path, write_jobs, monkeypatch
):
    monkeypatch.setattr(ray_crew, "LOOK_EVERY_S", 0.2)
    jobs, log = write_jobs(contents(3000)), tmp_path / "log"
    answers = RayEngine(Slow(log, 0.01)).extract(jobs, ())
    taken = [next(answers) for _ in range(100)]
    joined.kill_second()
    taken += [next(answers) for _ in range(50)]
    joined.add()
    for answer in answers:
        taken.append(answer)
        if len({process for process, _ in logged(log)}) == 3:
            break
    else:
        pytest.fail("the node that joined got no work")
    taken += [next(answers) for _ in range(100)]
    answers.close()
    assert [a.vector.tobytes() for a in taken] == [fake_features(c).tobytes() for c in contents(len(taken))]
