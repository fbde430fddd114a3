import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bundle_of

from retrain.bundle import Bundle, bundle_from_json
from retrain.errors import ModelError
from retrain.images import InputSpec, SkyStretch


def test_a_bundle_makes_the_round_trip():
    bundle = bundle_of(["globular cluster", "银河", 'a "b"\\'])
    assert bundle_from_json(bundle.to_json(), "x.pb") == bundle


@given(st.lists(st.text(), min_size=1), st.floats(allow_nan=False, allow_infinity=False))
def test_any_labels_and_numbers_make_the_round_trip(labels, mean):
    bundle = bundle_of(labels, input_mean=mean)
    assert bundle_from_json(bundle.to_json(), "x.pb") == bundle


def test_equal_bundles_are_equal_bytes_whatever_the_order_of_their_facts():
    other = bundle_of(training={"learning_rate": 0.01, "steps": 10.0})
    assert other.to_json() == bundle_of().to_json()
    assert bundle_of().to_json().isascii()


def test_the_input_is_described():
    bundle = bundle_of(input_height=160, input_width=192, input_mean=1.0, input_std=2.0)
    assert bundle.input_spec == InputSpec(160, 192, 1.0, 2.0)


RAW = json.loads(bundle_of().to_json())
SKY = {"limits": "percentile", "percentile": 99.5, "curve": "asinh", "asinh_a": 0.1}


def with_(**changes):
    return json.dumps({**RAW, **changes}).encode()


def without(name):
    return json.dumps({key: value for key, value in RAW.items() if key != name}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b"7", b'"text"', b"[" * 100_000, b"1" * 5000, bundle_of().to_json()[:-1],
    ],
)  # fmt: skip
def test_what_is_no_record_is_a_model_error(data):
    with pytest.raises(ModelError, match=r"x\.pb: .*(not readable|format)"):
        bundle_from_json(data, "x.pb")


@pytest.mark.parametrize("version", [0, 4, -1, True, "1", None, [], {}])
def test_another_version_is_refused_and_named(version):
    with pytest.raises(ModelError, match=r"expected a description of format 1 to 3, got .*update this package"):
        bundle_from_json(with_(format=version), "x.pb")


@pytest.mark.parametrize(
    "name", [field.name for field in fields(Bundle) if field.name not in ("format", "network", "thresholds")]
)
def test_a_missing_field_is_damage(name):
    with pytest.raises(ModelError, match=f"is damaged .*{name}"):
        bundle_from_json(without(name), "x.pb")


# As a run of 0.1.0 wrote it: what may never stop being readable.
OF_FORMAT_1 = (
    b'{"architecture": "mobilenet_0.50_224", "colour_order": "RGB", "feature_width": 12, "format": 1, "head_step": 7, '
    b'"input_height": 2, "input_mean": 127.5, "input_node": "input", "input_std": 127.5, "input_width": 2, '
    b'"labels": ["globular cluster", "open cluster"], "output_node": "final_result", '
    b'"resize": "bilinear, antialiased, aspect ratio not kept", '
    b'"split_sha256": "1111111111111111111111111111111111111111111111111111111111111111", "tflite_sha256": "", '
    b'"training": {"learning_rate": 0.01, "steps": 10.0}, "versions": {"python": "3.11.0"}, '
    b'"weights_sha256": "0000000000000000000000000000000000000000000000000000000000000000", '
    b'"weights_source": "bundled"}'
)


def test_a_description_of_format_2_is_read_as_one_without_a_stretch():
    of_2 = {key: value for key, value in RAW.items() if key != "sky"} | {"format": 2, "date": "2026-01-01T00:00:00Z"}
    assert bundle_from_json(json.dumps(of_2).encode(), "x.pb") == bundle_of(date="2026-01-01T00:00:00Z")


def test_a_stretch_makes_the_round_trip_and_is_part_of_the_input():
    sky = SkyStretch("percentile", 99.0, "asinh", 0.05)
    bundle = bundle_of(sky=sky)
    assert bundle_from_json(bundle.to_json(), "x.pb") == bundle
    assert bundle.input_spec.sky == sky
    assert bundle_of().input_spec.sky is None


def test_a_description_of_format_1_is_read_with_what_it_did_not_say_left_open():
    read = bundle_from_json(OF_FORMAT_1, "x.pb")
    assert read == bundle_of()
    assert (read.manifest_sha256, read.unknown_threshold, read.temperature, read.date) == ("", 0.0, 1.0, "")


def test_a_description_of_format_2_is_read_with_nothing_known_of_the_unknown_and_no_sets():
    older = {name: value for name, value in RAW.items() if name not in ("unknown", "sets")} | {"format": 2}
    assert bundle_from_json(json.dumps(older).encode(), "x.pb") == bundle_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": []}, {"labels": "ab"}, {"labels": [1, 2]}, {"labels": None}, {"labels": {"a": 1}},
        {"input_height": 0}, {"input_height": 4097}, {"input_height": "224"}, {"input_height": 2.0}, {"input_height": None},
        {"input_width": -1}, {"input_width": 10**9}, {"input_width": []},
        {"input_mean": "127.5"}, {"input_mean": None}, {"input_mean": True},
        {"input_std": 0}, {"input_std": 0.0}, {"input_std": "1"}, {"input_std": False},
        {"unknown_threshold": 1.5}, {"unknown_threshold": -0.1}, {"unknown_threshold": "0"}, {"temperature": 0},
        {"temperature": -1.0}, {"temperature": None}, {"date": 7}, {"manifest_sha256": None},
        {"unknown": None}, {"unknown": []}, {"unknown": "x"}, {"sets": None}, {"sets": 0.9},
        {"sky": {}}, {"sky": 1}, {"sky": []}, {"sky": "zscale"}, {"sky": {**SKY, "more": 1}},
        {"sky": {**SKY, "limits": "dss"}}, {"sky": {**SKY, "curve": None}}, {"sky": {**SKY, "asinh_a": 0}},
        {"sky": {**SKY, "asinh_a": float("nan")}}, {"sky": {**SKY, "percentile": "99"}},
        {"sky": {**SKY, "percentile": True}}, {"sky": {**SKY, "limits": ["zscale"]}},
        {"surprise": 1},
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_damage(changes):
    with pytest.raises(ModelError, match=f"is damaged .*{next(iter(changes))}"):
        bundle_from_json(with_(**changes), "x.pb")


@pytest.mark.parametrize("name", ["input_mean", "input_std"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_scaling_that_is_no_finite_number_is_damage(name, value):
    with pytest.raises(ModelError, match="is damaged"):
        bundle_from_json(with_(**{name: value}), "x.pb")


@pytest.mark.parametrize("name", ["input_height", "input_width"])
def test_true_is_no_size(name):
    with pytest.raises(ModelError, match="is damaged"):
        bundle_from_json(with_(**{name: True}), "x.pb")


@pytest.mark.parametrize("name", ["input_node", "output_node", "tflite_sha256", "architecture"])
@pytest.mark.parametrize("value", [7, None, ["x"]])
def test_a_name_that_is_no_text_is_damage(name, value):
    with pytest.raises(ModelError, match="is damaged"):
        bundle_from_json(with_(**{name: value}), "x.pb")
