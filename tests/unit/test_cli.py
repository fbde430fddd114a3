import dataclasses

import pytest

from retrain import __version__, cli
from retrain.cli import build_parser, flag_table, main, read_config
from retrain.config import RunConfig
from retrain.teaching import recipe_of

NUMBERS = [name for name, default, _ in flag_table() if isinstance(default, int | float) and default is not True]
SWITCHES = [name for name, default, _ in flag_table() if isinstance(default, bool)]
TEXTS = [name for name, default, _ in flag_table() if isinstance(default, str)]


def read(*words):
    config, problems = read_config(words)
    assert problems == []
    return config


def problems_of(*words):
    return read_config(words)[1]


def test_no_words_give_the_defaults():
    assert read() == RunConfig()


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_flag_may_be_written_in_four_ways(name):
    expected = dataclasses.replace(RunConfig(), **{name: "my-text"})
    dashed = name.replace("_", "-")
    assert read(f"--{name}", "my-text") == expected
    assert read(f"--{name}=my-text") == expected
    assert read(f"--{dashed}", "my-text") == expected
    assert read(f"--{dashed}=my-text") == expected


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in SWITCHES])
def test_every_number_flag_takes_a_number_of_its_type(name):
    kind = type(getattr(RunConfig(), name))
    assert getattr(read(f"--{name}=7"), name) == 7
    assert type(getattr(read(f"--{name}", "7"), name)) is kind
    (problem,) = problems_of(f"--{name}=seven")
    assert problem.startswith(f"expected --{name} to be a ")
    assert "got 'seven'" in problem


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_is_turned_on_and_off_in_every_spelling(name):
    for spelling in (name, name.replace("_", "-")):
        assert getattr(read(f"--{spelling}"), name) is True
        assert getattr(read(f"--no-{spelling}"), name) is False
        assert getattr(read(f"--no_{spelling}"), name) is False
        assert getattr(read(f"--{spelling}", f"--no-{spelling}"), name) is False
        assert getattr(read(f"--no-{spelling}", f"--{spelling}"), name) is True


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--test_batch_size", "-1"], "test_batch_size", -1),
        (["--validation_batch_size=-1"], "validation_batch_size", -1),
        (["--learning_rate", "-0.5"], "learning_rate", -0.5),
        (["--learning_rate=-1e-3"], "learning_rate", -0.001),
        (["--learning_rate=1e-3"], "learning_rate", 0.001),
        (["--seed=1", "--seed=2"], "seed", 2),
        (["--image_dir="], "image_dir", ""),
        (["--image_dir=a=b"], "image_dir", "a=b"),
        (["--image_dir", "my photos/银河"], "image_dir", "my photos/银河"),
    ],
)
def test_values_are_taken_as_typed(words, name, value):
    assert getattr(read(*words), name) == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--imge_dir=x"], "unknown flag --imge_dir; did you mean --image_dir?"),
        (["--imge-dir", "x"], "did you mean --image_dir?"),
        (["--training_batch_size=5"], "unknown flag --training_batch_size; did you mean --train_batch_size?"),
        (["--how_many_training_step", "5"], "did you mean --how_many_training_steps?"),
        (["--image"], "unknown flag --image"),  # an abbreviation
        (["--test", "1"], "unknown flag --test"),  # an ambiguous one
        (["--offlin"], "did you mean --offline?"),
        (["--no-seed"], "unknown flag --no_seed"),
        (["--saved_model_dir=x"], "unknown flag --saved_model_dir"),
        (["photos"], "got the word 'photos' that belongs to no flag"),
        (["--offline", "True"], "got the word 'True' that belongs to no flag"),
        (["--seed=1.5"], "expected --seed to be a whole number, got '1.5'; its default is 0"),
        (["--seed="], "expected --seed to be a whole number, got ''"),
        (["--learning_rate=fast"], "expected --learning_rate to be a number, got 'fast'; its default is -1"),
        (["--seed=" + "9" * 5000], "expected --seed to be a whole number"),
    ],
)
def test_what_is_not_understood_is_one_problem_that_names_what_came(words, said):
    (problem,) = problems_of(*words)
    assert said in problem


def test_several_problems_are_listed_at_once():
    found = problems_of("--imge_dir=x", "--seed=one", "loose", "--learning-rate=fast", "--offline")
    assert len(found) == 4
    config = read_config(["--imge_dir=x", "--seed=one", "--offline"])[0]
    assert config.offline  # what was understood is kept, so that it can be checked as well
    assert config.seed == 0


def test_the_command_lists_mistyped_flags_wrong_values_and_bad_folders_together(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "--imge_dir=x", "--seed=one", "--testing_percentage=120", "--architecture=mobilnet_0.50_224",
        "--random-crop=101", "--image_dir=photos",
    ]  # fmt: skip
    assert main(words) == 2
    err = capsys.readouterr().err
    for said in (
        "--imge_dir; did you mean", "--seed to be a whole number", "--testing_percentage to be 0 to 99",
        "got 'mobilnet_0.50_224'", "--random_crop to be 0 to 100", "'photos' not found",
    ):  # fmt: skip
        assert said in err
    assert list(tmp_path.iterdir()) == []


def test_a_flag_without_its_value_is_refused(capsys):
    assert main(["--seed"]) == 2
    assert "--seed" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_names_every_flag_with_its_default(word, capsys):
    with pytest.raises(SystemExit) as ended:
        main([word])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, default, _ in flag_table():
        assert f"--{name}" in text
        assert f"(default: {cli._shown(default)})" in text
    assert "--no_offline" not in text  # one line a flag


def test_every_flag_has_a_help_and_a_group():
    for name, _, flag in flag_table():
        assert flag.help, name
        assert flag.group, name


def test_the_flags_of_the_original_are_all_there_with_its_training_defaults():
    defaults = {name: default for name, default, _ in flag_table()}
    original = {
        "testing_percentage": 10, "validation_percentage": 10,
        "eval_step_interval": 10, "test_batch_size": -1, "validation_batch_size": 100,
        "print_misclassified_test_images": False, "final_tensor_name": "final_result", "flip_left_right": False,
        "random_crop": 0, "random_scale": 0, "random_brightness": 0, "intermediate_store_frequency": 0,
    }  # fmt: skip
    assert {name: defaults[name] for name in original} == original
    recipe = recipe_of(RunConfig())  # of these -1 is the default, which leaves them to what is trained
    assert (recipe.steps, recipe.learning_rate, recipe.batch_size) == (4000, 0.01, 100)
    for name in (
        "image_dir", "output_graph", "output_labels", "summaries_dir", "model_dir", "bottleneck_dir",
        "intermediate_output_graphs_dir", "architecture",
    ):  # fmt: skip
        assert isinstance(defaults[name], str)


def test_the_parser_never_guesses_abbreviations():
    assert build_parser().allow_abbrev is False


def test_the_version_is_a_version():
    assert [part.isdigit() for part in __version__.split(".")] == [True, True, True]
