import numpy as np
import pytest
from support import lines_of

from retrain import commands
from retrain.backbones import find_backbone
from retrain.backbones.slim import write_npz
from retrain.backbones.table import table
from retrain.backbones.weights import HDF5_MAGIC, bundled_weights, find_weights, imported_path, weights_at_hand
from retrain.console import Console
from retrain.errors import UsageError, WeightsError

SPEC = find_backbone("mobilenet_0.50_224")
VGG = find_backbone("vgg16")


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def run(capsys, folder, *words):
    assert commands.main([*words, "--model_dir", str(folder)], Console()) == 0
    return lines_of(capsys.readouterr().out)


def test_every_row_of_the_table_is_complete():
    rows = table()
    assert len(rows) == 57
    for name, spec in rows.items():
        assert find_backbone(name.upper()) is spec
        assert spec.preprocessing in ("tf", "raw", "caffe", "torch")
        assert min(spec.feature_width, spec.parameters, spec.multiply_adds, spec.weight_arrays) > 0
        assert spec.official_url.startswith("https://")
        assert spec.official_url.endswith(".h5")
        assert len(spec.official_checksum) in (0, 32, 64)
    assert len({spec.official_file for spec in rows.values()}) == len(rows)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("MobileNet_0.5_224", "mobilenet_0.50_224"),
        ("mobilenet_1_128", "mobilenet_1.0_128"),
        ("mobilenet-v2-.35-96", "mobilenet_v2_0.35_96"),
        ("MobileNetV3Small", "mobilenet_v3_small"),
        ("InceptionV3", "inception_v3"),
        ("vgg-16", "vgg16"),
        ("resnet50v2", "resnet50_v2"),
        ("EfficientNetV2B3", "efficientnet_v2_b3"),
        ("NASNet Mobile", "nasnet_mobile"),
    ],
)
def test_names_are_found_as_people_write_them(typed, meant):
    assert find_backbone(typed).name == meant


@pytest.mark.parametrize("typed", ["", " ", "mobilenet", "mobilenet_0.5", "resnet500", "resnet500_quantized"])
def test_other_names_are_refused_with_one_that_is_there(typed):
    with pytest.raises(UsageError) as refused:
        find_backbone(typed)
    assert any(name in str(refused.value) for name in table())


def test_the_list_has_a_line_a_backbone_with_what_is_here(capsys, folder):
    (folder / VGG.official_file).write_bytes(HDF5_MAGIC)
    write_npz(imported_path(find_backbone("mobilenet_1.0_224"), folder), [np.ones(1, np.float32)])
    lines = run(capsys, folder, "backbones")
    assert lines[1 + len(table())] == ""  # the networks follow, see test_network_backbones.py
    here = {line.split()[0]: line.split("M  ")[-1] for line in lines[1 : 1 + len(table())]}
    assert here["vgg16"] == "official"
    assert here["mobilenet_1.0_224"] == "imported"
    assert here["mobilenet_0.50_224"] == "bundled"
    assert here["xception"] == "to be fetched"


def test_verify_finds_the_damaged_ones(capsys, folder):
    assert run(capsys, folder, "weights", "verify") == []
    imported = imported_path(SPEC, folder)
    write_npz(imported, [np.ones(1, np.float32)] * SPEC.weight_arrays)
    assert run(capsys, folder, "weights", "verify") == [f"{imported}: whole"]
    imported.write_bytes(imported.read_bytes()[:-30])
    (folder / VGG.official_file).write_bytes(HDF5_MAGIC + b"cut")
    (folder / SPEC.official_file).write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="3 weight files are damaged"):
        run(capsys, folder, "weights", "verify")
    said = capsys.readouterr().out
    assert f"{folder / VGG.official_file}: damaged: expected a file with the MD5 {VGG.official_checksum}, got" in said
    assert f"{folder / SPEC.official_file}: damaged: not an HDF5 file" in said


def test_fetching_lists_all_unknown_names_at_once(folder):
    with pytest.raises(UsageError) as refused:
        commands.main(["weights", "fetch", "vgg17", "nonsense"], Console())
    assert len(refused.value.problems) == 2
    with pytest.raises(UsageError, match="got none"):
        commands.main(["weights", "fetch"], Console())


def test_importing_asks_for_one_graph_that_exists(folder):
    with pytest.raises(UsageError, match="expected one frozen graph"):
        commands.main(["weights", "import", str(folder / "no.pb"), "--architecture=mobilenet_1.0_224"], Console())


def test_the_sources_are_asked_in_order(folder):
    given = folder / "mine.npz"
    write_npz(given, [np.ones(1, np.float32)])
    quiet = Console(quiet=True)

    def found(**more):
        return find_weights(SPEC, folder, offline=True, console=quiet, **more)

    assert (found().source, found().sha256) == ("bundled", bundled_weights(SPEC).sha256)
    (folder / SPEC.official_file).write_bytes(HDF5_MAGIC)
    assert found().source == "official"
    write_npz(imported_path(SPEC, folder), [np.ones(1, np.float32)])
    assert found().source == "imported"
    assert (found(given=given).source, found(given=given).path) == ("given", given)


def test_a_given_file_that_cannot_be_used_is_refused(folder):
    (folder / "weights.txt").write_text("x")
    for name in ("weights.txt", "missing.npz"):
        with pytest.raises(WeightsError, match="expected --weights to be a file ending in"):
            weights_at_hand(SPEC, folder, folder / name)


def test_without_any_source_the_file_to_fetch_is_named(folder):
    with pytest.raises(WeightsError) as refused:
        find_weights(VGG, folder, offline=True, console=Console(quiet=True))
    said = str(refused.value)
    assert f"Fetch {VGG.official_url} on a machine with a network and put it at {folder / VGG.official_file}" in said
    assert "not tried (--offline)" in said
    assert len(said.splitlines()) == 6
