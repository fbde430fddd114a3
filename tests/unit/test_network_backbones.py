"""Networks as backbones: found by name or file, without weights of their own; and the layers that are trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from retrain.backbones import find_backbone, prepare, prepare_backbone, with_channels
from retrain.backbones.imagenet_weights import fetch_top, find_top_weights
from retrain.backbones.layers import LayerFacts, blocks_of, canonical_names, line_of, listed
from retrain.backbones.prepare import PreparedBackbone
from retrain.backbones.table import table
from retrain.backbones.weights import WeightsFile, fetch_official, weights_at_hand
from retrain.commands import main
from retrain.console import Console
from retrain.errors import RetrainError, UsageError, WeightsError
from retrain.exporters.keras_weights import problem
from retrain.networks import NETWORKS, Convolution, Flatten, Network, Usual, network_of, write_network

QUIET = Console(quiet=True)
LEAVES = Network("leaves", (Convolution(4), Flatten()), size=8, usual=Usual(3, 4, 0.5, "sgd"))


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    write_network(LEAVES, tmp_path / "my leaves.json")
    return tmp_path / "my leaves.json"


def test_a_network_is_found_as_a_backbone():
    spec = find_backbone("CNN3-96_quantized")
    assert (spec.name, spec.handle, spec.feature_width, spec.weight_arrays) == ("cnn3_96", "cnn3_96", 128, 8)
    assert (spec.input_spec.height, spec.input_spec.width, spec.preprocessing) == (96, 96, "tf")
    assert spec.usual == NETWORKS["cnn3_128"].usual
    assert network_of(spec).size == 96
    assert find_backbone("vgg16").definition == ""
    with pytest.raises(UsageError, match=r"one of cnn3_128, .* got vgg16"):
        network_of(find_backbone("vgg16"))


def test_a_file_is_found_as_a_backbone(leaves):
    spec = find_backbone(str(leaves))
    assert (spec.name, spec.handle, spec.path) == ("network_leaves", str(leaves), str(leaves))
    assert (spec.feature_width, spec.usual) == (256, LEAVES.usual)
    # What a child process is told, wherever it runs.
    leaves.unlink()
    again = find_backbone(spec.name, spec.definition)
    assert (again.name, again.builder, again.definition) == (spec.name, spec.builder, spec.definition)
    assert find_backbone(str(leaves), spec.definition).name == "network_my_leaves"
    with pytest.raises(UsageError, match="cannot read the network"):
        find_backbone(str(leaves))


def test_a_file_without_a_name_is_called_as_it_is(tmp_path):
    told = {"size": 4, "blocks": [{"block": "flatten"}, {"block": "dense", "units": 3}]}
    (tmp_path / "vgg16.JSON").write_text(json.dumps(told))
    # Never as a row of the table.
    assert find_backbone(str(tmp_path / "vgg16.JSON")).name == "network_vgg16"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("cnn3_4", "size of cnn3 to be from 8 to 1024"),
        ("cnn3", "did you mean cnn3_"),
        ("mnist_28", "did you mean mnist_cnn_28"),
        ("cnn6_1024", "expected at most 100000000 weights"),
    ],
)
def test_what_cannot_be_a_network_is_said(typed, said):
    with pytest.raises(UsageError, match=said):
        find_backbone(typed)


def test_one_channel_is_part_of_the_name_and_the_definition(leaves):
    grey = with_channels(find_backbone("cnn3_32"), 1)
    named = find_backbone("cnn3_32_grey")
    assert (grey.name, grey.definition, grey.builder) == (named.name, named.definition, named.builder)
    assert with_channels(grey, 1) == grey
    assert with_channels(find_backbone("vgg16"), 3) == find_backbone("vgg16")
    own = with_channels(find_backbone(str(leaves)), 1)
    assert (own.name, own.path, own.weight_arrays) == ("network_leaves_grey", str(leaves), 3)
    with pytest.raises(UsageError, match="got vgg16, which takes colour; leave --channels away"):
        with_channels(find_backbone("vgg16"), 1)


def test_a_network_without_weights_says_how_to_come_by_them(leaves, tmp_path):
    for name in ("cnn3_32", str(leaves)):
        spec = find_backbone(name)
        assert weights_at_hand(spec, tmp_path) is None
        with pytest.raises(WeightsError, match=r"no pretrained weights: give --train scratch .* or the network\.npz"):
            prepare_backbone(spec, tmp_path, offline=False, console=QUIET)
        for ask in (fetch_official, fetch_top):
            with pytest.raises(WeightsError, match="no pretrained weights"):
                ask(spec, tmp_path, QUIET)
        with pytest.raises(WeightsError, match=r"was never trained on ImageNet: .* give it as --graph"):
            find_top_weights(spec, tmp_path, offline=True, console=QUIET, given=tmp_path / "x.npz")


def test_the_fingerprint_and_the_files_know_the_definition(tmp_path):
    weights = WeightsFile(tmp_path / "w.npz", "given", "ab" * 32)
    first = find_backbone("cnn3_32")
    network = network_of(first)
    other = replace(network, blocks=(replace(network.blocks[0], activation="tanh"), *network.blocks[1:]))
    second = find_backbone(first.name, replace(first, network=other).definition)
    prints, stems = set(), set()
    for spec in (first, second):
        prints.add(PreparedBackbone(spec, weights, tmp_path, tmp_path).fingerprint)
        stems.add(prepare._at(spec, weights, tmp_path).tflite.name)
    assert first.name == second.name
    assert (len(prints), len(stems)) == (2, 2)


def test_keras_has_layers_for_networks():
    assert [problem(name) for name in ("vgg16", "cnn3_96_grey", "network_leaves")] == ["", "", ""]
    assert "which Keras has no layers for" in problem("graph_leaves")


def test_layers_that_Keras_numbers_are_counted_from_this_models_first():  # noqa: N802
    names = ["input_layer_3", "conv2d_95", "batch_normalization_94", "conv2d_94", "mixed0", "convolution1"]
    kinds = ["InputLayer", "Conv2D", "BatchNormalization", "Conv2D", "Concatenate", "Conv2D"]
    assert canonical_names(names, kinds) == [
        "input_layer", "conv2d_1", "batch_normalization", "conv2d", "mixed0", "convolution1",
    ]  # fmt: skip
    assert canonical_names(["global_average_pooling2d_7"], ["GlobalAveragePooling2D"]) == ["global_average_pooling2d"]
    assert canonical_names(["depthwise_conv2d_1", "re_lu"], ["DepthwiseConv2D", "ReLU"]) == [
        "depthwise_conv2d",
        "re_lu",
    ]


def kind_of(name: str) -> str:
    return "Conv2D" if "conv" in name.lower() and not name.endswith(("bn", "pad", "relu")) else "Activation"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("input conv1 conv1_bn conv_dw_1 conv_dw_1_bn conv_pw_1 conv_pad_2 conv_dw_2 conv_pw_2", [0, 1, 1, 2, 2, 2, 3, 3, 3]),
        ("input Conv1 bn expanded_conv_depthwise expanded_conv_project block_1_expand block_10_expand Conv_1 out_relu",
         [0, 1, 1, 2, 2, 3, 4, 5, 5]),
        ("input conv1_conv conv2_block1_1_conv conv2_block1_out conv2_block2_1_conv pool2_bn pool2_conv conv3_block1_0_bn",
         [0, 1, 2, 2, 3, 3, 4, 5]),
        ("input block1_conv1 block1_pool block2_conv1 conv2d batch_normalization add block3_conv1", [0, 1, 1, 2, 2, 2, 2, 3]),
        ("input conv2d conv2d_1 mixed0 conv2d_2 mixed9_0 mixed1 global_average_pooling2d", [0, 0, 0, 0, 1, 1, 1, 1]),
        ("stem_conv1 adjust_conv_stem_1 reduction_concat_stem_1 separable_conv_2 normal_concat_0 activation",
         [0, 0, 0, 1, 1, 1]),
        ("c_stem_conv c_stage_0_block_0_depthwise_conv c_stage_0_block_0_gelu c_downsampling_block_0 "
         "c_stage_1_block_0_depthwise_conv", [1, 2, 2, 3, 4]),
        ("images grey_conv convolution1 normalise1 pool1 inception1_3x3 inception1_joined dense1 dense2 dropout1",
         [0, 1, 2, 2, 2, 3, 3, 4, 5, 5]),
    ],
)  # fmt: skip
def test_layers_of_one_block_belong_together(names, expected):
    words = names.split()
    kinds = [kind_of(name) for name in words]
    assert blocks_of(words, kinds, [kind == "Conv2D" for kind in kinds]) == expected


def row(index: int, block: int, parameters: int = 0) -> LayerFacts:
    return LayerFacts(index, f"layer{'ABCDEFGHI'[index]}", "Conv2D", parameters, parameters > 0, block)


LAYERS = [row(0, 0), row(1, 1, 5), row(2, 1, 5), row(3, 1), row(4, 2, 5), row(5, 2), row(6, 3), row(7, 4, 5), row(8, 4)]


@pytest.mark.parametrize(
    ("freeze", "name", "line"),
    [(-1, "", 7), (0, "", 0), (4, "", 4), (9, "", 9), (-1, "layerC", 2), (-1, "layerA", 0)],
)
def test_the_line_is_where_it_is_asked_for(freeze, name, line):
    assert line_of(LAYERS, freeze, name) == line


def test_usually_whole_blocks_of_the_top_third_are_trained():
    # The only block with weights that begins in the top third is none: the last one that has any.
    assert line_of([*LAYERS[:6], row(6, 3)], -1, "") == 4
    assert line_of([row(0, 0), row(1, 1, 5), row(2, 2, 5), row(3, 3, 5)], -1, "") == 3


@pytest.mark.parametrize(
    ("freeze", "name", "said"),
    [
        (10, "", "expected --freeze_layers to be at most 9, all layers of the backbone, got 10"),
        (-1, "layerb", "got 'layerb'; did you mean layerB?"),
        (-1, "layrE", "did you mean layer"),
        (-1, "x", "backbones --layers NAME lists them"),
    ],
)
def test_a_line_that_is_not_there_is_refused(freeze, name, said):
    with pytest.raises(UsageError) as refused:
        line_of(LAYERS, freeze, name)
    assert said in str(refused.value)


def test_the_list_has_the_networks_in_a_section_of_their_own(capsys, tmp_path):
    assert main(["backbones", "--model_dir", str(tmp_path)], Console()) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert len(first.splitlines()) == 1 + len(table())
    title, heads, *rows = second.splitlines()
    assert "--train scratch" in title
    assert heads.split()[:3] == ["architecture", "pixels", "features"]
    assert [line.split()[:3] for line in rows] == [
        ["cnn3_128", "128", "128"], ["cnn6_128", "128", "32"], ["inception_cnn_128", "128", "32"],
        ["mnist_cnn_28", "28", "1024"],
    ]  # fmt: skip
    assert rows[0].endswith("30 epochs, batches of 16, adam 0.0001; at least 8 pixels")


def test_layers_of_what_is_not_there_are_refused(capsys):
    with pytest.raises(UsageError, match="did you mean cnn3_128"):
        main(["backbones", "--layers", "cnn3_12x8"], Console())


def test_a_child_that_fails_is_told(monkeypatch):
    from subprocess import CompletedProcess

    from retrain.backbones import layers

    monkeypatch.setattr(layers, "run_child", lambda *words, told: CompletedProcess(words, 1, "", "a\nno memory"))
    with pytest.raises(RetrainError, match="listing the layers of cnn3_32 failed:\na\nno memory"):
        listed(find_backbone("cnn3_32"))
