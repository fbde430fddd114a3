"""Checks of paths, addresses, processors and lists, at their edges: each with the whole sentence that it leads to."""

import dataclasses
import importlib.util
import os

import pytest
from support import write_tree

from retrain.config import RunConfig, cluster, processor
from retrain.config.flag import Flag, flag
from retrain.config.handles import module_problem
from retrain.config.inputs import system_problems, unpack_place
from retrain.config.sources import architectures_of
from retrain.config.splits import GroupRule, parse_group_by

ASKED = "expected --image_dir to be a folder of photographs, got"


@pytest.fixture
def good(tmp_path, monkeypatch):
    """A config without problems, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", {"cats": {"1.jpg": b"1"}, "dogs": {"2.jpg": b"2"}})
    return RunConfig(image_dir="photos")


def problems(config, **changes):
    return dataclasses.replace(config, **changes).problems()


# The processor and bfloat16.


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "amd64"])
@pytest.mark.parametrize("word", ["avx512_bf16", "amx_bf16"])
def test_a_listed_instruction_is_enough_on_both_names_of_the_processor(tmp_path, machine, word):
    listing = tmp_path / "cpuinfo"
    listing.write_bytes(b"vendor: \xff\nflags\t\t: fpu " + word.encode() + b" sse\n")
    assert processor.bfloat16_hindrance(listing, machine) is None


def test_without_the_instruction_or_the_listing_the_hindrance_is_said(tmp_path):
    listing = tmp_path / "cpuinfo"
    none = "this processor has none of its instructions (avx512_bf16, amx_bf16)"
    for text in ("flags : fpu avx512_bf16x", "vmx flags : avx512_bf16", ""):
        listing.write_text(text)
        assert processor.bfloat16_hindrance(listing, "x86_64") == none
    gone = tmp_path / "nothing"
    assert processor.bfloat16_hindrance(gone, "x86_64") == (
        f"only Linux says what a processor can do ({gone} is not there)"
    )
    assert processor.bfloat16_hindrance(listing, "arm64") == "it was made for x86 processors, and this is arm64"


def test_this_machine_is_asked_for_unless_another_is_named(monkeypatch):
    monkeypatch.setattr(processor.platform, "machine", lambda: "")
    assert processor.bfloat16_hindrance() == "it was made for x86 processors, and this is of an unknown kind"
    monkeypatch.setattr(processor.platform, "machine", lambda: "riscv64")
    assert processor.bfloat16_hindrance() == "it was made for x86 processors, and this is riscv64"


def test_bfloat16_is_refused_with_the_hindrance_and_on_other_engines(good, monkeypatch):
    monkeypatch.setattr(cluster, "is_ray_installed", lambda: True)
    monkeypatch.setattr(processor, "bfloat16_hindrance", lambda: None)
    assert problems(good, precision="bfloat16") == []
    on_ray = "got --precision=bfloat16 and --engine=ray, whose nodes calculate in float32; leave one of them away"
    assert problems(good, precision="bfloat16", engine="ray") == [on_ray]
    monkeypatch.setattr(processor, "bfloat16_hindrance", lambda: "it rains")
    refused = "got --precision=bfloat16, but it rains; use --precision float32"
    assert problems(good, precision="bfloat16", engine="ray") == [refused, on_ray]
    assert problems(good, precision="float32") == []


# The sky.


def test_what_a_rule_or_a_curve_has_no_use_for_is_refused_with_both(good):
    assert problems(good, sky_limits="zscale", sky_percentile=98.0) == [
        "got --sky_percentile=98.0 and --sky_limits=zscale, to which it says nothing; give --sky_limits=percentile or "
        "leave it away"
    ]
    assert problems(good, sky_limits="minmax", sky_stretch="log", sky_asinh_a=0.3) == [
        "got --sky_asinh_a=0.3 and --sky_stretch=log, to which it says nothing; give --sky_stretch=asinh or leave it away"
    ]
    assert problems(good, sky_limits="percentile", sky_percentile=98.0, sky_asinh_a=0.3) == []
    assert problems(good, sky_stretch="log") == [
        "got --sky_stretch=log without --sky_limits; give --sky_limits=percentile as well, or leave it away"
    ]
    assert problems(good, sky_limits="minmax", sky_asinh_a=0) == ["expected --sky_asinh_a above 0, got 0; 0.1 is usual"]


def test_the_sky_needs_astropy_only_where_it_is_asked_for(good, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "astropy" else find(name, *rest)
    )
    assert problems(good) == []
    assert problems(good, sky_limits="zscale") == [
        "got --sky_limits=zscale, which needs astropy, and there is none; python -m pip install 'retrain-photos[astro]'"
    ]


# Where photographs come from.


def test_a_whole_disk_and_what_the_system_makes_up_are_no_photographs():
    assert system_problems("/") == [
        "expected --image_dir to be the folder above the class folders, got /, which is a whole disk; give the folder "
        "of the photographs"
    ]
    for folder in ("/proc", "/proc/self", "/sys/class", "/dev"):
        assert system_problems(folder) == [
            f"{ASKED} {folder}, whose files the system makes up when they are read; give the folder of the photographs"
        ]


@pytest.mark.parametrize("folder", ["/dev/shm/photos", "/procession", "/systems/a"])  # noqa: S108
def test_memory_that_is_used_as_a_disk_and_like_names_may_hold_photographs(folder):
    assert system_problems(folder) == []


def test_a_list_may_name_files_anywhere(good, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\nphotos/cats/1.jpg,a\n")
    assert problems(good, image_dir="/", image_list="list.csv") == []
    assert [text for text in problems(good, image_dir="/") if "whole disk" in text]
    assert problems(good, image_list="list.csv", bottleneck_dir="photos/cache") == []


def test_a_list_that_is_not_there_and_flags_that_a_list_makes_pointless(good, tmp_path):
    assert problems(good, image_list="no.csv") == [
        "expected --image_list to be a CSV of path,label, got 'no.csv'; check the spelling"
    ]
    (tmp_path / "list.csv").write_text("path,label\n")
    assert problems(good, image_list="list.csv", recursive=True) == [
        "got --image_list and --recursive: the list names every photograph itself; leave one of them away"
    ]


def test_a_folder_that_is_not_found_without_a_like_one_has_no_guess(good):
    for path in ("zzz", "photos/zzz"):
        assert problems(good, image_dir=path) == [
            f"Image directory '{path}' not found; check the spelling and the current folder"
        ]


def test_archives_are_unpacked_beside_the_cache(good, tmp_path):
    assert unpack_place("somewhere/bottlenecks") == os.path.join("somewhere", "unpacked")
    (tmp_path / "photos.zip").write_bytes(b"PK\3\4" + bytes(40))
    assert problems(good, image_dir="photos.zip") == []
    (tmp_path / "tf_files").mkdir()
    (tmp_path / "tf_files" / "unpacked").write_bytes(b"")
    assert problems(good, image_dir="photos.zip") == [
        "cannot unpack --image_dir=photos.zip into tf_files/unpacked: it is a file, not a folder; choose another "
        "--bottleneck_dir, beside which archives are unpacked"
    ]


# Clusters, architectures, modules.


@pytest.mark.parametrize("address", ["host:0", "host:65536", "host:99999", "host", ":1", "host:port", "a:1:2", "[::1]"])
def test_what_is_no_address_of_a_cluster_is_not_tried(good, monkeypatch, address):
    monkeypatch.setattr(cluster, "is_ray_installed", lambda: True)
    monkeypatch.setattr(cluster.socket, "create_connection", lambda *_, **__: pytest.fail("it is none"))
    assert problems(good, engine="ray", ray_address=address) == [
        f"expected --ray_address to be 'auto' or HOST:PORT, got {address!r}; `ray start --head` prints the address of "
        "a cluster, usually with port 6379"
    ]


@pytest.mark.parametrize(("address", "tried"), [
    ("host:65535", ("host", 65535)), ("[::1]:1", ("::1", 1)), ("10.0.0.7:6379", ("10.0.0.7", 6379)),
])  # fmt: skip
def test_an_address_of_a_cluster_is_tried_for_three_seconds(good, monkeypatch, address, tried):
    asked = []

    def refuse(place, timeout):
        asked.append((place, timeout))
        raise OSError("no way")

    monkeypatch.setattr(cluster, "is_ray_installed", lambda: True)
    monkeypatch.setattr(cluster.socket, "create_connection", refuse)
    assert problems(good, engine="ray", ray_address=address)[0].startswith(
        f"cannot reach --ray_address={address}: no way; "
    )
    assert asked == [(tried, 3.0)]


def test_what_ray_has_no_use_for_is_refused(good, monkeypatch):
    monkeypatch.setattr(cluster, "is_ray_installed", lambda: False)
    assert problems(good, engine="ray", ray_address="auto", threads=2) == [
        "--engine=ray needs Ray, which is not installed: python -m pip install -e '.[ray]'",
        "got --threads=2 and --ray_address, whose nodes say how many cores they give (`ray start --num-cpus`); leave "
        "--threads away",
    ]
    assert problems(good, ray_address="auto") == [
        "got --ray_address=auto without --engine=ray, which it belongs to; give both or neither"
    ]


def test_several_architectures_are_told_by_their_comma_each_once():
    assert architectures_of("mobilenet_0.50_224") == ("mobilenet_0.50_224",)
    assert architectures_of(" spaces kept ") == (" spaces kept ",)
    assert architectures_of("a, b,a") == ("a", "b")


def test_several_architectures_need_somebody_to_choose_and_no_weights(good, tmp_path):
    (tmp_path / "w.h5").write_bytes(b"x")
    both = "mobilenet_0.50_224,mobilenet_0.25_128_quantized"
    assert problems(good, architecture=both, weights="w.h5") == [
        f"got --architecture={both} with --head=softmax; several are compared by --head auto, or name one of them",
        f"got --architecture={both} with --weights, which are of one architecture; leave them away, or name that one",
        f"got --architecture={both}; name them without _quantized, and give --export tflite_int8",
    ]
    assert problems(good, architecture="mobilenet_0.50_224,mobilenet_0.25_128", head="auto") == []


@pytest.mark.parametrize(("name", "there", "kinds"), [
    ("weights", "w.txt", "a .h5, .keras, .npz file or the folder of a SavedModel"),
    ("backbone_graph", "g.pbtxt", "a .pb file"),
    ("backbone_graph", "gone.pb", "a .pb file"),
])  # fmt: skip
def test_a_file_is_there_and_of_its_kind(good, tmp_path, name, there, kinds):
    if not there.startswith("gone"):
        (tmp_path / there).write_bytes(b"x")
    found = problems(good, **{name: there})
    assert len(found) == 1
    assert found[0].startswith(f"expected --{name} to be a ")
    assert found[0].endswith(f", got {there!r}; check the spelling")
    assert ("or the folder of a SavedModel" in found[0]) is ("SavedModel" in kinds)


@pytest.mark.parametrize("host", ["tfhub.dev", "TFHub.dev", "kaggle.com", "www.kaggle.com"])
def test_an_address_without_its_beginning_is_recognised_whatever_follows(host):
    module = f"{host}/google/some/1"
    assert module_problem(module).endswith(f"got {module!r}; an address begins with https://, as in https://{module}")
    assert module_problem("elsewhere/google/1").endswith("got 'elsewhere/google/1'; check the spelling")


def test_an_address_of_a_server_alone_names_no_module():
    for address in ("https://tfhub.dev", "https://tfhub.dev/", "https://tfhub.dev//"):
        assert module_problem(address) == (
            f"expected --tfhub_module to name a module, got only its server, {address!r}; copy the whole address"
        )
    assert module_problem("https://tfhub.dev/a") == ""


# Splits, folds, flags.


def test_groups_and_the_split_of_each_path_by_itself_exclude_each_other(good):
    assert problems(good, group_by="folder", split_rule="poets") == [
        "got --group_by=folder and --split_rule=poets, which places each path by itself (and keeps _nohash_ names "
        "together already); leave one of them away"
    ]
    assert problems(good, group_by="folder", split_rule="content") == []


def test_a_rule_of_groups_is_read_or_its_sentence_is_a_problem(good):
    assert parse_group_by("regex:a:b") == GroupRule("regex", "a:b")
    assert parse_group_by("") == GroupRule("")
    assert parse_group_by("nohash") == GroupRule("nohash")
    for text in ("regex:(", "csv:nothing.csv", "csv:photos", "csv", "regex:", "folders"):
        sentence = parse_group_by(text)
        assert isinstance(sentence, str)
        assert problems(good, group_by=text) == [sentence]


def test_a_split_file_that_is_none_is_said_to_be_a_folder_or_nothing(good):
    assert problems(good, split_file="photos") == [
        "--split_file=photos: expected a CSV file, got a folder; check the spelling and the current folder"
    ]
    assert problems(good, split_file="no.csv") == [
        "--split_file=no.csv: expected a CSV file, there is none; check the spelling and the current folder"
    ]


@pytest.mark.parametrize(("train", "given", "folds"), [
    ("head", -1, 5), ("head", 0, 0), ("head", 3, 3), ("scratch", -1, 0), ("finetune", -1, 0), ("scratch", 4, 4),
])  # fmt: skip
def test_folds_are_those_given_or_the_usual_of_what_is_trained(train, given, folds):
    assert RunConfig(train=train, cross_validation_folds=given).folds == folds


def test_what_is_written_depends_on_what_is_trained():
    beside = {"output_graph", "output_labels", "summaries_dir", "bottleneck_dir", "model_dir"}
    assert set(RunConfig().outputs()) == beside
    assert set(RunConfig(train="scratch").outputs()) == beside | {"checkpoint_dir"}
    assert set(RunConfig(intermediate_store_frequency=5).outputs()) == beside | {"intermediate_output_graphs_dir"}
    assert RunConfig(model_dir="here").outputs()["model_dir"] == "here"


def test_a_flag_is_a_field_with_its_default_and_its_meaning():
    meaning = Flag("what it means", "training", 1, 9)
    made = dataclasses.make_dataclass("Made", [("size", int, flag(7, meaning))])
    assert made().size == 7
    assert [(field.default, dict(field.metadata)) for field in dataclasses.fields(made)] == [(7, {"flag": meaning})]


def test_heads_that_take_a_flag_are_named_without_the_one_that_only_chooses(good):
    found = problems(good, head="cosine", label_smoothing=0.1)
    assert len(found) == 1
    assert found[0].startswith("expected no --label_smoothing with --head cosine, which ")
    assert found[0].endswith(
        "got --label_smoothing=0.1; leave it away, or choose --head softmax or --head logistic or --head mlp"
    )
