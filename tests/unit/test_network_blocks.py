"""Networks put together from blocks: what fits, what they come to, their JSON, and the four that have names."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from retrain.errors import UsageError
from retrain.networks import (
    NETWORKS,
    Activation,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Inception,
    Network,
    Normalise,
    Pool,
    Usual,
    definition_of,
    find_network,
    from_json,
    is_network,
    least_size,
    measure,
    names,
    network_of,
    problems_of,
    read_network,
    to_json,
    write_network,
)
from retrain.networks.blocks import KINDS
from retrain.networks.jsonfile import MAX_BYTES
from retrain.networks.measuring import MAX_PARAMETERS

LEAVES = Network(
    "leaves",
    (
        Convolution(8, 5, 2, "valid", "linear", bias=False),
        Normalise(),
        Activation("relu6"),
        Pool(3, 2, "average", "same"),
        Inception(20, reduction=0.5),
        Flatten(),
        Dense(16, "tanh"),
        Dropout(0.25),
    ),
    size=33,
    usual=Usual(5, 8, 0.01, "momentum"),
)


def problems(text: str) -> list[str]:
    with pytest.raises(UsageError) as refused:
        from_json(text)
    return list(refused.value.problems)


def test_a_picture_is_followed_through_the_blocks():
    measured = measure(LEAVES)
    assert measured.shapes == (
        (15, 15, 8), (15, 15, 8), (15, 15, 8), (8, 8, 8), (8, 8, 20), (1280,), (16,), (16,),
    )  # fmt: skip
    # 5x5 on 3 channels without biases; two numbers a channel that learn.
    convolution, norm = 5 * 5 * 3 * 8, 2 * 8
    # Roads of 4, 6, 6 and 4 filters; in front of the second and third, half as many.
    inception = (8 * 4 + 4) + (8 * 3 + 3) + (9 * 3 * 6 + 6) + (8 * 3 + 3) + (25 * 3 * 6 + 6) + (8 * 4 + 4)
    assert measured.parameters == convolution + norm + inception + (1280 * 16 + 16)
    assert measured.arrays == 1 + 4 + 12 + 2
    assert measured.feature_width == 16
    grey = measure(replace(LEAVES, channels=1))
    assert (grey.parameters, grey.arrays) == (measured.parameters - 2 * 25 * 8, measured.arrays + 1)


def test_the_shares_of_an_inception_module_are_the_tutorials():
    assert Inception(10).roads == (2, 3, 3, 2)
    assert Inception(32).roads == (6, 9, 9, 8)
    assert sum(Inception(128).roads) == 128
    assert Inception(10, reduction=0.5).reduced(3) == 1


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ((), "expected 1 to 200 blocks, got 0"),
        ((Pool(), Flatten()), "expected a block with weights"),
        ((Convolution(3),), "put a flatten or global_pool behind it"),
        ((Dense(3),), "block 1 (Dense): expected a vector before it, got a picture; put a flatten before it"),
        ((Flatten(), Convolution(3)), "block 2 (Convolution): expected a picture before it, got a vector"),
        ((Convolution(0), Flatten()), "expected filters to be a whole number from 1 to 4096, got 0"),
        ((Convolution(3, activation="rlu"), Flatten()), "got 'rlu'; did you mean relu?"),
        ((Convolution(2.0), Flatten()), "a whole number from 1 to 4096, got 2.0"),  # type: ignore[arg-type]
        ((Convolution(True), Flatten()), "a whole number from 1 to 4096, got True"),
        ((Convolution(3, bias=1), Flatten()), "expected bias to be true or false, got 1"),  # type: ignore[arg-type]
        ((Flatten(), Dense(3), Dropout(1.0)), "expected share to be a number from 0.0 to 0.95, got 1.0"),
        ((Inception(4), Flatten()), ""),
        ((Inception(9, 0.5, 0.5, 0.5), Flatten()), "leave the fourth road a filter, got 4, 4, 4 of 9"),
        ((Flatten(), Dense(65_536), Dense(65_536)), f"expected at most {MAX_PARAMETERS} weights"),
        ((Convolution(4096), Convolution(4096), Flatten()), "values of a picture, at most"),
        (("convolution",), "expected a block of retrain.networks, got str"),
    ],
)
def test_what_does_not_fit_is_said(blocks, said):
    found = problems_of(Network("x", blocks, size=200))
    assert any(said in problem for problem in found) if said else not found


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(tmp_path):
    wrong = Network("a b", (Convolution(0), Dense(-1)), size=0, channels=2, usual=Usual(0, 1, 0.1, "adm"))
    found = problems_of(wrong)
    for said in ("name", "size", "channels", "epochs", "did you mean adam", "filters", "units"):
        assert any(said in problem for problem in found), said
    with pytest.raises(UsageError) as refused:
        write_network(wrong, tmp_path / "x.jsn")
    assert len(refused.value.problems) == len(found) + 1
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_picture_is_refused_with_the_least_size():
    small = replace(LEAVES, blocks=(Convolution(4, 5, padding="valid"), Pool(), Pool(), Flatten(), Dense(2)), size=7)
    assert least_size(small) == 8
    assert problems_of(replace(small, size=8)) == []
    (problem,) = problems_of(small)
    assert "its window of 2 pixels is larger than the 1 that are left of the picture" in problem
    assert "the least size of leaves is 8" in problem


@pytest.mark.parametrize("network", [LEAVES, replace(LEAVES, channels=1), *NETWORKS.values()], ids=lambda one: one.name)
def test_a_network_survives_its_json(network, tmp_path):
    write_network(network, tmp_path / "one.json")
    assert read_network(tmp_path / "one.json") == network
    assert network_of(str(tmp_path / "one.json")) == network
    assert from_json(to_json(network)) == network
    again = from_json(definition_of(network))
    assert (again.blocks, again.size, again.channels) == (network.blocks, network.size, network.channels)
    assert definition_of(again) == definition_of(network)


def test_the_definition_is_what_decides_the_numbers_and_nothing_else():
    told = definition_of(LEAVES)
    assert told == definition_of(replace(LEAVES, name="other", usual=Usual()))
    assert told != definition_of(replace(LEAVES, channels=1))
    assert told != definition_of(replace(LEAVES, blocks=(*LEAVES.blocks[:-1], Dropout(0.3))))
    # With values that are as usual, which a later version may have others for.
    assert json.loads(told)["blocks"][3] == {"block": "pool", "size": 3, "stride": 2, "kind": "average",
                                              "padding": "same"}  # fmt: skip
    assert '"momentum"' in told


def test_what_is_wrong_with_a_file_is_said_at_once():
    found = problems(
        '{"sise": 3, "usual": {"epoch": 3}, "blocks": [{"block": "convoltion"}, {"block": "dense"}, 7, {"block": []},'
        ' {"block": "pool", "size": 0, "strid": 2, "kind": "mean"}]}'
    )
    for said in (
        "got 'sise'; did you mean size?",
        "expected size, got none",
        "usual: expected one of epochs, batch_size, learning_rate, optimizer, got 'epoch'; did you mean epochs?",
        "block 1: expected block to be one of",
        "did you mean convolution?",
        "block 2 (dense): expected units, got none",
        "block 3: expected an object with a block",
        "block 4: expected block to be one of",
        "got 'strid'; did you mean stride?",
        "expected size to be a whole number from 1 to 31, got 0",
        "expected kind to be one of max, average, got 'mean'",
    ):
        assert any(said in problem for problem in found), (said, found)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "7", '"x"', "[" * 100_000, "{}", '{"size": 8}', '{"blocks": []}',
        '{"size": 8, "blocks": {}}', '{"size": 8, "blocks": [], "usual": 3}', '{"size": 8, "blocks": [null]}',
        '{"size": NaN, "blocks": [{"block": "flatten"}]}', '{"size": 1e999, "blocks": [{"block": "flatten"}]}',
        '{"size": 8, "blocks": [{"block": "flatten"}, {"block": "dense", "units": Infinity}]}',
        '{"size": 8, "blocks": [{"block": "flatten"}, {"block": "dense", "units": "9"}]}',
        '{"size": 8, "name": 3, "blocks": [{"block": "flatten"}, {"block": "dense", "units": 9}]}',
        '{"size": 8, "name": "../x", "blocks": [{"block": "flatten"}, {"block": "dense", "units": 9}]}',
        '{"size": 8, "usual": {"optimizer": []}, "blocks": [{"block": "flatten"}, {"block": "dense", "units": 9}]}',
        '{"size": 8, "blocks": [' + ", ".join(['{"block": "flatten"}'] * 201) + "]}",
        " " * (MAX_BYTES + 1), "1" * 5000,
    ],
)  # fmt: skip
def test_a_strangers_file_is_refused_and_never_crashes(text):
    assert all(len(problem) < 500 for problem in problems(text))


def test_the_examples_of_the_documentation_are_networks(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"```json\n(.*?)```", text, re.S)
    assert measure(from_json(told)).feature_width == 64
    (script,) = re.findall(r"```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    exec(script.split("result = run")[0], {})  # noqa: S102
    assert read_network("leaves.json").name == "leaves"
    # Every value of every block, as it usually is.
    table = text.split("| block | values |")[1].split("\n\n")[0]
    for kind, block in KINDS.items():
        (row,) = [line for line in table.splitlines()[2:] if f"`{kind}`" in line.split("|")[1]]
        assert all(f"`{field.name}`" in row for field in fields(block)), kind


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the network .*gone\.json: No such file"):
        read_network(tmp_path / "gone.json")


def test_the_four_networks_are_those_of_the_tutorials():
    assert names() == ("cnn3_128", "cnn6_128", "inception_cnn_128", "mnist_cnn_28")
    filters = {
        name: [getattr(block, "filters", 0) for block in network.blocks if hasattr(block, "filters")]
        for name, network in NETWORKS.items()
    }
    assert filters["cnn3_128"] == [32, 32, 64]
    assert filters["cnn6_128"] == filters["inception_cnn_128"] == [32, 32, 64, 64, 128, 128]
    assert filters["mnist_cnn_28"] == [32, 64]
    assert {name: measure(network).feature_width for name, network in NETWORKS.items()} == {
        "cnn3_128": 128, "cnn6_128": 32, "inception_cnn_128": 32, "mnist_cnn_28": 1024,
    }  # fmt: skip
    assert NETWORKS["cnn3_128"].usual == (30, 16, 1e-4, "adam")


@pytest.mark.parametrize(
    ("typed", "name", "size", "channels"),
    [
        ("cnn3_128", "cnn3_128", 128, 3),
        ("CNN3-96", "cnn3_96", 96, 3),
        ("mnist cnn 32", "mnist_cnn_32", 32, 3),
        (" inception_cnn_64_gray ", "inception_cnn_64_grey", 64, 1),
        ("cnn6_8_grey", "cnn6_8_grey", 8, 1),
        ("cnn6_1024", "cnn6_1024", 1024, 3),
    ],
)
def test_a_name_tells_the_size_and_the_channels(typed, name, size, channels):
    found = find_network(typed)
    assert is_network(typed)
    assert (found.name, found.size, found.channels) == (name, size, channels)
    assert problems_of(found) == [] or "weights" in problems_of(found)[0]


@pytest.mark.parametrize("typed", ["cnn3_7", "cnn3_1025", "cnn3_0", "cnn3_" + "9" * 5000])
def test_a_size_that_will_not_do_is_refused_with_those_that_do(typed):
    assert is_network(typed)
    with pytest.raises(UsageError, match="size of cnn3 to be from 8 to 1024 pixels"):
        find_network(typed)


@pytest.mark.parametrize("typed", ["cnn3", "cnn4_128", "cnn3_128_green", "mnist_28", "vgg16", "", "_128"])
def test_what_is_no_network_is_none(typed):
    assert not is_network(typed)
    with pytest.raises(UsageError, match="expected a network, one of cnn3_128"):
        find_network(typed)


def test_a_global_pool_takes_any_size():
    network = Network("any", (Convolution(4), GlobalPool()), size=1)
    assert problems_of(network) == []
    assert {measure(replace(network, size=size)).feature_width for size in (1, 2, 64, 1024)} == {4}
