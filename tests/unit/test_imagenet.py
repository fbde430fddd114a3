"""The names of ImageNet's classes, where weights that have its head come from, and --architecture's own words."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import bundle_of, lines_of
from test_slim import slim_graph

from retrain import commands
from retrain.backbones import find_backbone, imagenet_weights
from retrain.backbones.convert import read_npz
from retrain.backbones.fetch import FetchError
from retrain.backbones.imagenet import imagenet_classes, imagenet_labels
from retrain.backbones.imagenet_weights import find_top_weights, imported_top_path, top_at_hand
from retrain.backbones.slim import write_npz
from retrain.backbones.table import table
from retrain.backbones.weights import HDF5_MAGIC, MAX_WEIGHT_BYTES, bundled_weights, imported_path
from retrain.config import RunConfig
from retrain.console import Console
from retrain.errors import UsageError, WeightsError
from retrain.exporters import imagenet, keras_weights
from retrain.label import read_flags
from retrain.label.flags import MODEL_DIR
from retrain.label.pretrained import with_pretrained_graph

VGG = find_backbone("vgg16")
BUNDLED = find_backbone("mobilenet_0.50_224")
QUIET = Console(quiet=True)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"not opened here")
    return str(path)


def test_the_classes_are_those_of_imagenet_in_its_order():
    ids, names = zip(*imagenet_classes(), strict=True)
    assert len(ids) == 1000
    assert list(ids) == sorted(ids)
    assert all(re.fullmatch(r"n\d{8}", number) for number in ids)
    assert {0: "tench", 2: "great white shark", 281: "tabby", 388: "giant panda", 999: "toilet tissue"}.items() <= dict(
        enumerate(names)
    ).items()
    assert dict(zip(ids, names, strict=True))["n02123045"] == "tabby"


def test_no_two_names_would_share_a_folder():
    names = imagenet_labels(1000)
    assert len({name.lower() for name in names}) == 1000
    assert all(name == name.strip() and name.isprintable() and name.isascii() for name in names)
    assert not any(set(name) & set('/\\:*?"<>|') for name in names)


def test_the_licences_are_in_the_file():
    text = (Path(imagenet_weights.__file__).parent / "imagenet_names.txt").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved." in text
    assert "Copyright (c) 2025 Illia Volkov, Nikita Kisel" in text


def test_a_class_more_is_the_background_and_comes_first():
    assert imagenet_labels(1001) == ("background", *imagenet_labels(1000))


@pytest.mark.parametrize("count", [0, 2, 999, 1002, 21843])
def test_other_counts_have_no_names(count):
    with pytest.raises(WeightsError, match=rf"1,000 classes of ImageNet, .* got {count} classes"):
        imagenet_labels(count)


def test_every_architecture_has_a_file_with_the_head():
    for spec in table().values():
        assert spec.top_url.startswith("https://")
        assert spec.top_file.endswith(".h5")
        assert len(spec.top_checksum) in (0, 32, 64)
        assert spec.top_file != spec.official_file
    assert len({spec.top_file for spec in table().values()}) == len(table())
    assert VGG.top_file == "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    assert MAX_WEIGHT_BYTES > 4 * 143_667_240  # VGG19


def test_imported_weights_come_before_official_ones_and_given_ones_before_both(tmp_path):
    assert top_at_hand(VGG, tmp_path) is None
    (tmp_path / VGG.top_file).write_bytes(HDF5_MAGIC)
    found = top_at_hand(VGG, tmp_path)
    assert (found.source, found.sha256) == ("official", hashlib.sha256(HDF5_MAGIC).hexdigest())
    write_npz(imported_top_path(VGG, tmp_path), [np.ones(1, np.float32)])
    assert find_top_weights(VGG, tmp_path, offline=True, console=QUIET).source == "imported"
    given = tmp_path / "mine.h5"
    given.write_bytes(b"x")
    assert find_top_weights(VGG, tmp_path, offline=True, console=QUIET, given=given).path == given


def test_weights_without_the_head_are_not_taken_for_some_with(tmp_path):
    (tmp_path / VGG.official_file).write_bytes(HDF5_MAGIC)
    write_npz(imported_path(VGG, tmp_path), [np.ones(1, np.float32)])
    with pytest.raises(WeightsError, match="no weights of vgg16 with the head"):
        find_top_weights(VGG, tmp_path, offline=True, console=QUIET)


def test_without_weights_the_file_to_fetch_and_its_place_are_named(tmp_path):
    with pytest.raises(WeightsError) as refused:
        find_top_weights(BUNDLED, tmp_path, offline=True, console=QUIET)
    text = str(refused.value)
    assert f"{BUNDLED.top_url}: not tried (--offline)" in text
    assert "bundled with this package: without that head" in text
    assert f"put it at {tmp_path / BUNDLED.top_file}" in text
    assert "weights fetch mobilenet_0.50_224 --top" in text
    assert refused.value.exit_code == 4


def test_official_weights_are_fetched_with_their_checksum(tmp_path, monkeypatch):
    asked = []

    def fetch(url, target, checksum, console):
        asked.append((url, checksum))
        target.write_bytes(HDF5_MAGIC)
        return target

    monkeypatch.setattr(imagenet_weights, "fetch_weights", fetch)
    found = find_top_weights(VGG, tmp_path, offline=False, console=QUIET)
    assert (found.source, found.path) == ("official", tmp_path / VGG.top_file)
    assert asked == [(VGG.top_url, VGG.top_checksum)]


def test_a_fetch_that_fails_says_why(tmp_path, monkeypatch):
    def fetch(url, *_):
        raise FetchError(f"{url}: got 403")

    monkeypatch.setattr(imagenet_weights, "fetch_weights", fetch)
    with pytest.raises(WeightsError, match="got 403"):
        find_top_weights(VGG, tmp_path, offline=False, console=QUIET)


@pytest.mark.parametrize("name", ["nothing.h5", "mine.ckpt", "folder"])
def test_a_given_file_of_another_kind_is_refused(name, tmp_path):
    (tmp_path / "mine.ckpt").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match=f"ending in .npz, .h5, .pb, got .*{name}"):
        find_top_weights(VGG, tmp_path, offline=True, console=QUIET, given=tmp_path / name)
    assert imagenet.problems("vgg16", str(tmp_path / name)) == [
        f"expected --weights to be a file ending in .npz, .h5, .pb, got {tmp_path / name}; check the spelling"
    ]


class Worker:
    """In place of the TensorFlow child: counts, and writes bytes."""

    calls: list[dict]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, function, **facts):
        self.calls.append({"function": function, **facts})
        content = b"a model"
        Path(facts["stem"] + ".tflite").write_bytes(content)
        Path(facts["stem"] + ".json").write_text(json.dumps({"tflite_sha256": hashlib.sha256(content).hexdigest()}))
        return {}


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setattr(Worker, "calls", [], raising=False)
    monkeypatch.setattr(imagenet, "TensorFlowWorker", Worker)
    return Worker


def test_a_model_is_made_once_and_again_when_it_is_damaged(tmp_path, worker):
    (tmp_path / VGG.top_file).write_bytes(HDF5_MAGIC)

    def prepare():
        return imagenet.prepare_imagenet("VGG-16", tmp_path, offline=True, console=QUIET)

    made = prepare()
    assert made == prepare()
    (call,) = worker.calls
    assert call["function"] == "imagenet_model:build"
    assert (call["architecture"], call["source"], call["weights"]) == (
        "vgg16",
        "official",
        str(tmp_path / VGG.top_file),
    )
    made.write_bytes(b"a mod")
    assert prepare() == made
    assert made.read_bytes() == b"a model"
    (tmp_path / VGG.top_file).write_bytes(HDF5_MAGIC + b"other weights")
    assert prepare() != made
    assert len(worker.calls) == 3


def test_the_label_side_takes_the_model_as_its_graph_and_says_so_aside(photo, tmp_path, worker, capsys):
    (tmp_path / VGG.top_file).write_bytes(HDF5_MAGIC)
    config = read_flags(["--image", photo, "--architecture", "vgg16", "--model_dir", str(tmp_path), "--offline"])
    graph = with_pretrained_graph(config).graph
    assert re.fullmatch(r"vgg16-imagenet-[0-9a-f]{12}-v1\.tflite", graph.removeprefix(f"{tmp_path}/"))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("label_image: Converting vgg16 with its ImageNet head, once")


def test_ten_guesses_of_a_thousand_unless_it_is_said(photo):
    flags = ["--image", photo, "--architecture", "vgg16"]
    assert read_flags(flags).top_k == 10
    assert read_flags([*flags, "--top_k", "3"]).top_k == 3
    assert read_flags(flags).model_dir == MODEL_DIR == RunConfig().model_dir


def problems_of(*words):
    with pytest.raises(UsageError) as refused:
        read_flags(words)
    return refused.value.problems


def test_all_that_is_wrong_with_an_architecture_is_said_at_once(photo, tmp_path):
    found = problems_of("--image", photo, "--architecture", "vgg61", "--graph", photo, "--weights", "none.h5")
    assert [text.split(",")[0] for text in found] == [
        "expected --architecture to be a row of `python -m retrain backbones`",
        "expected --weights to be a file ending in .npz",
        "expected --graph or --architecture",
    ]
    assert "did you mean vgg" in found[0]
    assert list(tmp_path.iterdir()) == [tmp_path / "cat.jpg"]


def test_there_is_no_int8_of_it(photo):
    (found,) = problems_of("--image", photo, "--architecture", "mobilenet_0.50_224_quantized")
    assert found.endswith("got mobilenet_0.50_224_quantized; leave _quantized away")


@pytest.mark.parametrize("words", [["--offline"], ["--weights", "x.h5"], ["--model_dir", "x"]])
def test_flags_of_the_architecture_want_one(words, photo, tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"\0\0\0\0TFL3")
    found = problems_of("--image", photo, "--graph", str(tmp_path / "model.tflite"), *words)
    assert found == (f"expected --architecture with {words[0]}, got none; name a backbone, or leave {words[0]} away",)


def run(capsys, *words):
    assert commands.main([str(word) for word in words], Console()) == 0
    return lines_of(capsys.readouterr().out)


def test_the_weights_command_knows_files_with_the_head(tmp_path, capsys, monkeypatch):
    folder = ["--model_dir", tmp_path]

    def fetch(url, target, *_):
        target.write_bytes(HDF5_MAGIC)
        return target

    monkeypatch.setattr(imagenet_weights, "fetch_weights", fetch)
    assert run(capsys, "weights", "fetch", "vgg16", "--top", *folder) == [f"vgg16: {tmp_path / VGG.top_file}"]
    listed = run(capsys, "weights", "list", *folder)
    digest = hashlib.sha256(HDF5_MAGIC).hexdigest()
    assert f"vgg16 with its ImageNet head: official, {tmp_path / VGG.top_file}, SHA-256 {digest}" in listed
    with pytest.raises(WeightsError, match="1 weight files are damaged"):
        commands.main(["weights", "verify", *map(str, folder)], Console())
    assert f"{tmp_path / VGG.top_file}: damaged: expected a file with the MD5" in capsys.readouterr().out
    with pytest.raises(UsageError, match="expected --top with fetch"):
        commands.main(["weights", "list", "--top"], Console())


def test_an_imported_graph_brings_its_head_along(tmp_path, capsys, monkeypatch):
    graph, arrays = slim_graph()
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["retrain.commands.weights"], "find_backbone", lambda _: narrow())
    words = ["weights", "import", tmp_path / "graph.pb", "--architecture=narrow", "--model_dir", tmp_path]
    lines = run(capsys, *words)
    target = tmp_path / "narrow.imported_top.npz"
    assert lines[1] == f"narrow with its ImageNet head: imported to {target}"
    with np.load(target) as archive:
        kept = [archive[name] for name in sorted(archive.files)]
    assert len(kept) == len(arrays) + 2
    assert kept[-2].shape == (32, 1001)
    assert kept[-1].shape == (1001,)


def narrow():
    return replace(BUNDLED, name="narrow", arguments={"alpha": 32 / 1024})


@pytest.mark.parametrize("names", ["arr_{}", "{:03d}", "{}", "{:03d}:conv_{}"])
def test_arrays_are_read_in_the_order_of_their_numbers(names, tmp_path):
    # NASNet has more than 1,000; NumPy numbers its own without zeros.
    count = 1126
    np.savez(tmp_path / "w.npz", **{names.format(i, count - i): np.full(1, i, np.float32) for i in range(count)})
    assert [int(array[0]) for array in read_npz(tmp_path / "w.npz")] == list(range(count))


def test_a_model_of_somebody_elses_backbone_has_no_keras_layers():
    assert keras_weights.problem("mobilenet_0.50_224") == ""
    for name in ("graph_retrained_graph", "hub_mobilenet_v2", ""):
        assert keras_weights.problem(name).startswith(
            f"expected a backbone of Keras Applications for the format keras, got {name}"
        )


def test_the_very_weights_of_a_run_are_found_among_others(tmp_path):
    bundled = bundled_weights(BUNDLED)
    write_npz(imported_path(BUNDLED, tmp_path), [np.ones(1, np.float32)])
    (tmp_path / BUNDLED.official_file).write_bytes(HDF5_MAGIC)
    official = hashlib.sha256(HDF5_MAGIC).hexdigest()
    found = keras_weights.find_weights_of
    assert found(bundle_of(weights_sha256=bundled.sha256), tmp_path) == bundled.path
    assert found(bundle_of(weights_sha256=official), tmp_path) == tmp_path / BUNDLED.official_file
    given = tmp_path / "given.h5"
    given.write_bytes(HDF5_MAGIC)
    assert found(bundle_of(weights_sha256=official), tmp_path, given) == given


def test_other_weights_are_refused_with_their_hashes(tmp_path):
    (tmp_path / BUNDLED.official_file).write_bytes(HDF5_MAGIC)
    with pytest.raises(WeightsError) as refused:
        keras_weights.find_weights_of(bundle_of(weights_sha256="0" * 64), tmp_path)
    text = str(refused.value)
    assert f"SHA-256 {'0' * 64}" in text
    assert f"{tmp_path / BUNDLED.official_file}: {hashlib.sha256(HDF5_MAGIC).hexdigest()}" in text
    assert bundled_weights(BUNDLED).sha256 in text
    with pytest.raises(WeightsError, match="got: none\nName the file with --weights"):
        keras_weights.find_weights_of(bundle_of(architecture="vgg16"), tmp_path)
