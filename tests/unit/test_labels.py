import pytest

from retrain.dataset.labels import make_labels, poets_label


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("M13-open", "m13 open"),
        ("globular cluster", "globular cluster"),
        ("_x", " x"),
        ("x_", "x "),
        ("a__--b", "a b"),
        ("银河", " "),
        ("Étoile", " toile"),
        ("NGC 869 & 884", "ngc 869 884"),
        ("2023", "2023"),
    ],
)
def test_the_poets_rule_is_the_originals(folder, label):
    assert poets_label(folder) == label
    assert make_labels([folder], "poets") == ((label,), [])


@pytest.mark.parametrize("folder", ["M13-open", "银河", "Étoile", "cats[1]", " x ", "a,b", '"quoted"'])
def test_by_default_a_label_is_the_folders_name_as_it_is_spelt(folder):
    assert make_labels([folder], "folder") == ((folder,), [])


@pytest.mark.parametrize("folders", [["a-b", "a_b"], ["银河", "星团"], ["Cats", "cats"]])
def test_folders_that_normalise_alike_are_a_problem_that_names_them(folders):
    labels, (problem,) = make_labels([*folders, "other"], "poets")
    assert len(labels) == 3
    assert all(repr(folder) in problem for folder in folders)
    assert "--label_style=folder" in problem
    assert make_labels([*folders, "other"], "folder")[1] == []


@pytest.mark.parametrize("folder", ["a\nb", "a\rb", "a\x85b", "a\u2028b", "\udcff", "a\tb", "\x1b[31m"])
def test_a_name_that_cannot_be_a_line_of_the_labels_file_is_a_problem(folder):
    _, (problem,) = make_labels([folder], "folder")
    assert "cannot be a line of the labels file; rename it" in problem
    assert problem.isprintable()


def test_several_problems_are_all_listed():
    assert len(make_labels(["a-b", "a_b", "c-d", "c_d"], "poets")[1]) == 2
