"""What is said of flags that do not go together, whole sentences: they are all that a person gets to see of a check."""

import dataclasses
import importlib.util
import socket
from importlib.machinery import ModuleSpec

import pytest
from support import write_tree

from retrain.config import RunConfig, cluster


@pytest.fixture
def good(tmp_path, monkeypatch):
    """A config without problems, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", {"cats": {"1.jpg": b"1"}, "dogs": {"2.jpg": b"2"}})
    return RunConfig(image_dir="photos")


def problems(config, **changes):
    return dataclasses.replace(config, **changes).problems()


def test_photographs_below_the_cache_are_refused_and_the_cache_is_named(good):
    assert problems(good, image_dir="photos/cats", bottleneck_dir="photos") == [
        "--image_dir=photos/cats lies inside --bottleneck_dir=photos, where only the cache itself may lie; choose a "
        "folder beside the photographs for it"
    ]
    assert problems(good, image_dir="photos", bottleneck_dir="photos_cache") == []


def test_a_set_of_labels_and_a_set_that_holds_the_one_right_label_exclude_each_other(good, tmp_path):
    listed = tmp_path / "labels.csv"
    listed.write_text("path,labels\nphotos/cats/1.jpg,a;b\n")
    found = problems(good, image_list=str(listed), multi_label=True, head="logistic", coverage=0.5)
    assert (
        "got --coverage=0.5 and --multi_label: a set that holds the one right label is none of several labels; leave "
        "one of them away"
    ) in found


def test_weights_and_a_network_that_starts_from_nothing_exclude_each_other(good, tmp_path):
    (tmp_path / "w.weights.h5").write_bytes(b"x")
    assert problems(good, train="scratch", weights="w.weights.h5") == [
        "got --weights=w.weights.h5 with --train scratch, which starts from nothing; leave it away, or give "
        "--train finetune"
    ]


def test_a_tensor_without_a_graph_that_holds_it_is_refused(good):
    assert problems(good, bottleneck_tensor="pool:0") == [
        "got --bottleneck_tensor=pool:0 without --backbone_graph or --tfhub_module, where it names a place; give both "
        "or neither"
    ]


def test_the_size_of_a_module_without_a_module_is_refused(good):
    assert problems(good, tfhub_input_size=224) == [
        "got --tfhub_input_size=224 without --tfhub_module, whose input it is the size of; give both or neither (an "
        "architecture's size is in its name)"
    ]


def test_an_archive_that_is_there_is_a_module(good, tmp_path):
    (tmp_path / "module.tar.gz").write_bytes(b"opened later")
    assert problems(good, tfhub_module="module.tar.gz") == []


def test_a_cluster_that_answers_is_no_problem_and_one_that_does_not_is(good, monkeypatch):
    monkeypatch.setattr(cluster, "is_ray_installed", lambda: True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert problems(good, engine="ray", ray_address=address) == []
    assert problems(good, engine="ray", ray_address=address) == [
        f"cannot reach --ray_address={address}: Connection refused; start Ray there with `ray start --head --port "
        "6379`, or check the address"
    ]
    assert problems(good, engine="ray", ray_address="auto") == []


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"recursive": True}, "got --recursive and --multi_label, which looks into all folders anyway; leave --recursive away"),
    ({"group_by": "folder"}, "got --group_by=folder and --multi_label, where folders mean nothing; give "
     "--group_by=regex:PATTERN, which is found in the path"),
    ({"image_dir": "memory://photos"}, "expected --image_dir to be a folder on this machine with --multi_label, got "
     "memory://photos, where text files beside photographs are not read; unpack or copy it, or give --image_list with "
     "it unpacked"),
    ({"head": "knn"}, "expected --head logistic with --multi_label, got --head knn; the other heads give each "
     "photograph one label: leave --head away"),
])  # fmt: skip
def test_what_does_not_go_with_several_labels_a_photograph_is_said(good, changes, sentence):
    assert sentence in problems(good, multi_label=True, **changes)
    assert sentence not in problems(good, **changes)


def test_heat_maps_need_the_report_that_shows_them(good):
    assert problems(good, heat_maps=6, report=False) == [
        "got --heat_maps=6 and --no_report, where they would be shown; leave one of them away"
    ]
    assert problems(good, heat_maps=0, report=False) == []


def test_a_list_of_photographs_under_a_url_and_recursion_under_one_are_refused(good, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\n")
    assert (
        "got --image_list and --image_dir=memory://photos: the photographs of a list must lie on this machine; copy them "
        "here, or give the URL of class folders without a list"
    ) in problems(good, image_list="list.csv", image_dir="memory://photos")
    assert (
        "got --recursive and --image_dir=memory://photos: folders below class folders are read on this machine only; "
        "copy the photographs here, or leave --recursive away"
    ) in problems(good, recursive=True, image_dir="memory://photos")
    assert problems(good, image_dir="", image_list="list.csv") == []


def test_ray_is_there_where_a_package_with_a_file_is_and_not_where_only_a_folder_is(monkeypatch):
    specs = {"ray": None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: specs[name])
    assert not cluster.is_ray_installed()
    specs["ray"] = ModuleSpec("ray", None, origin="ray/__init__.py")
    assert cluster.is_ray_installed()
    specs["ray"] = ModuleSpec("ray", None, is_package=True)
    assert not cluster.is_ray_installed()


def test_photographs_in_the_memory_of_this_process_are_out_of_ray_s_reach(good, monkeypatch):
    monkeypatch.setattr(cluster, "is_ray_installed", lambda: True)
    sentence = (
        "got --engine=ray and --image_dir=Memory://photos, which no other process can see; put the photographs on a "
        "disk or in a store"
    )
    assert sentence in problems(good, engine="ray", image_dir="Memory://photos")
    assert sentence not in problems(good, image_dir="Memory://photos")
