import dataclasses
import math

import pytest
from support import write_tree

from retrain.config import DISTORTIONS, RunConfig


@pytest.fixture
def good(tmp_path, monkeypatch):
    """A config without problems, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", {"cats": {"1.jpg": b"1"}, "dogs": {"2.jpg": b"2"}})
    return RunConfig(image_dir="photos")


def problems(config, **changes):
    return dataclasses.replace(config, **changes).problems()


def only_problem(config, **changes):
    found = problems(config, **changes)
    assert len(found) == 1, found
    return found[0]


def test_the_defaults_have_no_problems_and_checking_touches_nothing(good, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert good.problems() == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().seed = 1


RANGES = [
    # name, legal, illegal
    ("max_skipped_percentage", [0.0, 0.5, 100.0], [-0.1, 100.1, math.nan, math.inf]),
    ("archive_max_files", [1, 10**7], [0, -1, 10**7 + 1]),
    ("archive_max_mb", [1, 1 << 30], [0, -1, (1 << 30) + 1]),
    ("threads", [0, 1, 1024], [-1, 1025]),
    ("feature_memory_mb", [0, 1, 10**9], [-1]),
    ("how_many_training_steps", [-1, 1, 10**9], [-2]),
    ("learning_rate", [-1.0, 1e-9, 1e30], [-1.01, math.nan, math.inf, -math.inf]),
    ("train_batch_size", [-1, 1, 10**6], [-2]),
    ("weight_decay", [-1.0, 0.0, 0.03, 100.0], [-1.1, math.nan, math.inf]),
    ("label_smoothing", [0.0, 0.1, 0.9], [-0.1, 0.91, math.nan]),
    ("early_stopping", [-1, 0, 10**6], [-2]),
    ("hidden_units", [1, 128, 4096], [0, 4097]),
    ("dropout", [0.0, 0.5, 0.9], [-0.1, 0.91, math.nan]),
    ("eval_step_interval", [1, 10**6], [0, -1]),
    ("seed", [0, 2**32 - 1], [-1, 2**32]),
    ("tfhub_input_size", [0], [-1, 1025]),
    ("testing_percentage", [0, 89], [-1, 100]),
    ("validation_percentage", [0, 89], [-1, 100]),
    ("test_batch_size", [-1, 1, 10**6], [-2]),
    ("validation_batch_size", [-1, 1, 10**6], [-2]),
    ("cross_validation_repeats", [1, 5, 100], [0, 101]),
    ("cross_validation_folds", [-1, 0, 2, 100], [-2, 101]),
    ("unknown_false_alarms", [0.0, 0.01, 0.5], [-0.01, 0.51, float("nan")]),
    ("coverage", [0.0, 0.9, 0.999], [-0.1, 1.0, float("nan")]),
    ("intermediate_store_frequency", [0, 1, 10**6], [-1]),
    ("random_crop", [0, 1, 100], [-1, 101]),
    ("random_scale", [0, 1, 1000], [-1, 1001]),
    ("random_brightness", [0, 1, 100], [-1, 101]),
    ("random_colour", [0, 1, 100], [-1, 101]),
    ("distorted_views", [8], [0, -1, 1001]),
    ("sky_percentile", [99.5], [49, 100.1, float("nan")]),
    ("sky_asinh_a", [0.1], [-0.1, 1.1, float("nan")]),
    ("heat_maps", [0, 6, 200], [-1, 201]),
    ("unknown_threshold", [0, 0.5, 1], [-0.1, 1.1, float("nan")]),
    ("channels", [1, 3], [0, 4]),
    ("epochs", [-1, 1, 10**6], [-2]),
    ("freeze_layers", [-1, 0, 10], [-2]),
    ("layer_decay", [0.1, 0.9, 1.0], [0.0, 1.1, math.nan]),
    ("warmup_steps", [-1, 0, 100], [-2]),
    ("random_rotation", [0, 20, 180], [-1, 181]),
    ("mixup", [0.0, 0.2, 10.0], [-0.1, 10.1, math.nan]),
    ("cutmix", [0.0, 1.0, 10.0], [-0.1, 10.1, math.nan]),
    ("checkpoint_steps", [1, 100], [0, -1]),
    ("checkpoints_kept", [1, 3, 1000], [0, 1001]),
    ("pixel_cache_mb", [0, 100], [-1]),
]


# Flags that mean something only beside others.
_SCRATCH, _FINETUNE = {"train": "scratch"}, {"train": "finetune"}
BESIDE = {
    "hidden_units": {"head": "mlp"},
    "dropout": {"head": "mlp"},
    **dict.fromkeys(("channels", "epochs", "warmup_steps", "random_rotation", "mixup", "cutmix"), _SCRATCH),
    **dict.fromkeys(("checkpoint_steps", "checkpoints_kept", "pixel_cache_mb"), _SCRATCH),
    **dict.fromkeys(("freeze_layers", "layer_decay"), _FINETUNE),
}


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, legal, _ in RANGES for v in legal])
def test_numbers_in_their_range_are_taken(good, name, value):
    assert problems(good, **{name: value}, **BESIDE.get(name, {})) == []


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, _, illegal in RANGES for v in illegal])
def test_numbers_out_of_their_range_are_refused_with_the_range_and_what_came(good, name, value):
    found = problems(good, **{name: value})
    assert any(p.startswith(f"expected --{name} to be ") and f"got --{name}={value}; " in p for p in found)


def test_every_number_is_in_the_table_above():
    numbers = {field.name for field in dataclasses.fields(RunConfig) if type(field.default) in (int, float)}
    assert numbers == {name for name, _, _ in RANGES}


def test_a_whole_number_that_no_float_can_hold_is_a_problem_or_a_value_but_no_crash(good):
    assert only_problem(good, seed=10**400).startswith("expected --seed to be 0 to ")


CROSS_CHECKS = [
    ({"testing_percentage": 50, "validation_percentage": 50}, "leave something to train on, got 50 + 50"),
    ({"testing_percentage": 99, "validation_percentage": 10}, "leave something to train on, got 99 + 10"),
    ({"test_batch_size": 0}, "expected --test_batch_size to be -1 (all) or at least 1, got 0"),
    ({"validation_batch_size": 0}, "expected --validation_batch_size to be -1 (all) or at least 1, got 0"),
    ({"learning_rate": 0.0}, "expected --learning_rate above 0, or -1 for its usual value, got 0"),
    ({"learning_rate": -0.5}, "expected --learning_rate above 0, or -1 for its usual value, got -0.5"),
    ({"weight_decay": -0.5}, "expected --weight_decay of at least 0, or -1 for its usual value, got -0.5"),
    ({"how_many_training_steps": 0}, "expected --how_many_training_steps to be at least 1, or -1 for its usual"),
    ({"train": "finetune", "epochs": 0}, "expected --epochs to be at least 1, or -1 for its usual value, got 0"),
    ({"train": "all"}, "expected --train to be one of head, scratch, finetune, got 'all'"),
    ({"epochs": 3}, "expected no --epochs with --train head, which trains a layer on a backbone as it is"),
    ({"train": "scratch", "freeze_layers": 3}, "expected no --freeze_layers with --train scratch, where nothing is"),
    ({"train": "scratch", "how_many_training_steps": 30}, "--epochs says how long a network is trained"),
    ({"train": "scratch", "channels": 2}, "expected --channels to be 1 or 3, got 2"),
    ({"train": "finetune", "channels": 1}, "expected no --channels with --train finetune, whose backbone takes colour"),
    ({"train": "finetune", "head": "knn"}, "expected no --head with --train finetune, got --head=knn"),
    ({"train": "finetune", "freeze_layers": 3, "unfreeze_from": "conv"}, "--unfreeze_from, which say the same thing"),
    ({"train": "finetune", "learning_curve": True, "cross_validation_folds": 5}, "it would train the network at every"),
    ({"cross_validation_folds": 1}, "expected --cross_validation_folds to be 0 (off) or at least 2, got 1"),
    ({"cross_validation_folds": 0, "learning_curve": True}, "got --learning_curve without cross-validation"),
    ({"cross_validation_folds": 0, "cross_validation_repeats": 5}, "got --cross_validation_repeats=5 without cross"),
    ({"label_style": "poet"}, "expected --label_style to be one of folder, poets, got 'poet'; did you mean poets?"),
    ({"split_rule": "random"}, "expected --split_rule to be one of content, poets, got 'random'"),
    ({"distorted_views": 16}, "got --distorted_views=16 without a distortion to make them by; give --flip_left_right"),
    ({"head": "svm"}, "expected --head to be one of softmax, logistic, cosine, knn, mlp, auto, got 'svm'"),
    ({"head": "logistic", "learning_rate": 0.1}, "expected no --learning_rate with --head logistic, which is solved"),
    ({"head": "cosine", "label_smoothing": 0.1}, "got --label_smoothing=0.1; leave it away, or choose --head softmax"),
    ({"head": "knn", "weight_decay": 0.0}, "expected no --weight_decay with --head knn, which keeps the training"),
    ({"dropout": 0.1}, "expected no --dropout with --head softmax, which is one layer and has no hidden one"),
    ({"head": "auto", "intermediate_store_frequency": 10}, "which may choose a head that is not trained step by step"),
    ({"use_unverified": True, "flip_left_right": True}, "got --use_unverified and distortions"),
    ({"output_graph": "model.pbtxt"}, "expected --output_graph to end in .pb"),
    ({"output_graph": "x", "output_labels": "labels"}, "expected --output_graph to end in .pb"),
]


@pytest.mark.parametrize(("changes", "said"), CROSS_CHECKS)
def test_values_that_do_not_fit_each_other_are_refused(good, changes, said):
    assert said in only_problem(good, **changes)


@pytest.mark.parametrize("head", ["softmax", "mlp", "auto"])
def test_heads_that_are_trained_step_by_step_take_the_flags_of_steps(good, head):
    changes = {"how_many_training_steps": 10, "learning_rate": 0.1, "optimizer": "adam", "schedule": "cosine"}
    assert problems(good, head=head, **changes, early_stopping=100, label_smoothing=0.1, class_weights="none") == []


@pytest.mark.parametrize("head", ["logistic", "cosine", "knn"])
def test_all_flags_that_a_head_has_no_use_for_are_named_at_once(good, head):
    found = problems(good, head=head, class_weights="none", optimizer="sgd", schedule="cosine", hidden_units=8)
    assert [text.split()[2] for text in found] == ["--schedule", "--optimizer", "--hidden_units"]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_any_distortion_turns_distorted_training_on(good, name):
    assert good.distortions() == {}
    value = 10 if type(getattr(good, name)) is int else True
    on = dataclasses.replace(good, **{name: value}, distorted_views=16)
    assert on.distortions() == {name: int(value), "distorted_views": 16}
    assert on.problems() == []


def test_all_problems_are_listed_at_once(good):
    changes = {
        "seed": -1, "label_style": "x", "image_dir": "nowhere", "final_tensor_name": "a b", "output_labels": "",
        "testing_percentage": 60, "validation_percentage": 60,
    }  # fmt: skip
    assert len(problems(good, **changes)) == 6


@pytest.mark.parametrize("name", ["final_result", "a", "9", ".x", "A-b_c.d", "x" * 1000])
def test_node_names_that_a_graph_takes_are_taken(good, name):
    assert problems(good, final_tensor_name=name) == []


BAD_NODE_NAMES = [
    "", " ", "a b", "a/b", "a:0", "_a", "-a", "银河", "a\n", "final_result\0", "^a",
    "input", "Mul", "DecodeJpeg", "ResizeBilinear", "bottleneck", "retrain", "final_training_ops", "input_1",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NODE_NAMES)
def test_node_names_that_a_graph_refuses_or_has_already_are_refused(good, name):
    problem = only_problem(good, final_tensor_name=name)
    assert problem.startswith("expected --final_tensor_name to be a node name")
    assert repr(name) in problem


def test_no_image_dir_says_which_flag_to_give(good):
    assert only_problem(good, image_dir="").startswith("expected --image_dir, the folder with one sub-folder a class")


def test_a_missing_image_dir_is_not_found(good):
    problem = only_problem(good, image_dir="elsewhere/entirely")
    assert problem.startswith("Image directory 'elsewhere/entirely' not found (nor is its parent elsewhere)")


@pytest.mark.parametrize("typed", ["photo", "fotos", "photos2/", "./phtos"])
def test_a_misspelt_image_dir_is_not_found_and_the_nearest_folder_is_named(good, typed):
    problem = only_problem(good, image_dir=typed)
    assert f"Image directory '{typed}' not found; did you mean photos?" in problem


def test_a_missing_image_dir_far_from_any_other_has_no_guess(good):
    assert "did you mean" not in only_problem(good, image_dir="zzz")


def test_a_file_for_image_dir_is_said_to_be_a_file(good):
    assert "got the file photos/cats/1.jpg; give the folder above" in only_problem(good, image_dir="photos/cats/1.jpg")


@pytest.mark.parametrize("name", ["x" * 300, "photos/" + "x" * 300], ids=["alone", "below"])
def test_an_image_dir_with_a_name_that_is_too_long_is_a_problem_like_others(good, name):
    assert only_problem(good, image_dir=name).startswith(f"Image directory '{name}'")


@pytest.mark.parametrize("name", ["output_labels", "summaries_dir", "bottleneck_dir", "model_dir"])
def test_an_output_with_a_name_that_is_too_long_is_a_problem_like_others(good, name):
    assert only_problem(good, **{name: "x" * 300}).startswith(f"cannot write --{name}=")


def test_links_to_folders_are_folders(good, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert problems(good, image_dir="link") == []


FILES = ["output_graph", "output_labels"]
FOLDERS = ["summaries_dir", "bottleneck_dir", "model_dir"]


@pytest.mark.parametrize("name", FILES)
def test_an_output_file_that_is_a_folder_is_refused(good, tmp_path, name):
    (tmp_path / "there.pb").mkdir()
    assert only_problem(good, **{name: "there.pb"}) == (
        f"cannot write --{name}=there.pb: it is a folder, not a file; choose another place"
    )


@pytest.mark.parametrize("name", FOLDERS)
def test_an_output_folder_that_is_a_file_is_refused(good, tmp_path, name):
    (tmp_path / "there").write_bytes(b"")
    assert f"cannot write --{name}=there: it is a file, not a folder" in only_problem(good, **{name: "there"})


@pytest.mark.parametrize("name", FILES + FOLDERS)
def test_an_output_below_a_file_is_refused(good, tmp_path, name):
    (tmp_path / "there").write_bytes(b"")
    problem = only_problem(good, **{name: "there/deep/er.pb"})
    assert problem.startswith(f"cannot write --{name}=there/deep/er.pb: ")
    assert "there is a file, not a folder" in problem


@pytest.mark.parametrize("name", [*FOLDERS, "output_labels"])
def test_an_empty_output_path_is_refused(good, name):
    assert only_problem(good, **{name: ""}).startswith(f"expected a path for --{name}, got nothing")


@pytest.mark.parametrize("name", FILES + FOLDERS)
@pytest.mark.parametrize("place", ["photos/new.pb", "./photos/cats/new.pb", "photos/../photos/x.pb"])
def test_an_output_among_the_class_folders_is_refused(good, name, place):
    problem = only_problem(good, **{name: place})
    assert problem.startswith(f"--{name}={place} lies inside --image_dir=photos, where every folder is a class")


@pytest.mark.parametrize("name", FOLDERS)
def test_the_image_folder_itself_is_no_output_folder(good, name):
    assert "lies inside --image_dir" in only_problem(good, **{name: "photos"})


def test_a_sibling_that_starts_with_the_same_letters_is_outside(good):
    assert problems(good, summaries_dir="photos_summaries") == []


def test_the_folder_of_intermediate_graphs_is_checked_only_when_it_is_used(good, tmp_path):
    (tmp_path / "there").write_bytes(b"")
    assert problems(good, intermediate_output_graphs_dir="there") == []
    used = {"intermediate_output_graphs_dir": "there", "intermediate_store_frequency": 10}
    assert "it is a file, not a folder" in only_problem(good, **used)


@pytest.mark.parametrize("labels", ["tf_files/model.pb", "./tf_files/../tf_files/model.pb"])
def test_one_path_for_graph_and_labels_is_refused(good, labels):
    assert "are both tf_files/model.pb" in only_problem(good, output_graph="tf_files/model.pb", output_labels=labels)


@pytest.mark.parametrize("ending", [".tflite", ".split.csv", ".skipped.csv", ".metrics.json"])
def test_labels_at_the_path_of_a_file_that_stands_beside_the_graph_are_refused(good, ending):
    assert "--output_labels" in only_problem(good, output_graph="out/model.pb", output_labels=f"out/model{ending}")


@pytest.mark.parametrize("name", FOLDERS)
def test_one_path_for_a_file_and_a_folder_is_refused(good, name):
    assert f"--{name}" in only_problem(good, output_labels="out/both", **{name: "out/both"})


def test_outputs_are_named_by_flag(good):
    assert set(good.outputs()) == set(FILES + FOLDERS)


def test_a_backbone_graph_and_another_architecture_are_not_both_obeyed(tmp_path):
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"x")
    told = RunConfig(backbone_graph=str(graph), architecture="vgg16").problems()
    assert any("got --architecture=vgg16 and --backbone_graph" in problem for problem in told)
    told = RunConfig(backbone_graph=str(graph)).problems()
    assert not any("--backbone_graph" in problem for problem in told)


def test_a_model_does_not_keep_quiet_about_its_features():
    assert RunConfig().caveats() == {}
    assert RunConfig(use_unverified=True).caveats() == {"use_unverified": 1}
    assert RunConfig(precision="bfloat16").caveats() == {"bfloat16": 1}
