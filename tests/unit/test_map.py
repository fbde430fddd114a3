import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import retrain

ROOT = Path(retrain.__file__).parents[1]
PACKAGE = ROOT / "retrain"


def rooms_on_disk():
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    return files | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def rooms_on_the_map():
    return re.findall(r"^ {4}(\w+) {2,}\S", retrain.__doc__, flags=re.M)


def layers():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = [c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    return [layer.removeprefix("retrain.") for layer in contract["layers"]]


def test_every_room_is_on_the_map_once():
    assert sorted(rooms_on_the_map()) == sorted(rooms_on_disk())


def test_the_map_is_in_the_order_that_import_linter_checks():
    assert rooms_on_the_map() == [layer for layer in reversed(layers()) if layer != "__main__"]


def test_every_room_is_a_layer():
    assert set(layers()) == rooms_on_disk() | {"__main__"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for_and_stays_under_its_budget(path):
    text = path.read_text()
    assert text.lstrip().startswith('"""')
    assert len(text.splitlines()) < 350


def test_every_module_of_a_package_is_named_in_the_packages_docstring():
    missing = []
    for init in (path for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE):
        docstring = init.read_text().split('"""')[1]
        missing += [str(p) for p in init.parent.glob("*.py") if p != init and p.name not in docstring]
        missing += [str(p) for p in init.parent.glob("*/__init__.py") if f"{p.parent.name}/" not in docstring]
    assert missing == []


def test_the_names_promised_are_the_names_given():
    assert retrain.__all__ == ["Classifier", "RunConfig", "RunResult"]
    assert retrain.RunConfig.__module__ == "retrain.config.flags"
    assert retrain.Classifier.__module__ == "retrain.classifier"
    assert retrain.RunResult.__module__ == "retrain.concluding"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = retrain.nonsense


HEAVY = ("tensorflow", "keras", "h5py", "sklearn")


def test_nothing_that_a_person_starts_imports_tensorflow():
    modules = "retrain.cli, retrain.run, retrain.classifier, retrain.label, label_image, retrain.summaries"
    code = f"import sys, {modules}; print([name for name in {HEAVY} if any(one.split('.')[0] == name for one in sys.modules)])"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert child.stdout == "[]\n"


def test_the_inference_side_imports_nothing_of_the_training_side():
    code = "import sys, label_image, retrain.label; print(sorted(name for name in sys.modules if name.startswith('retrain.')))"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    rooms = {name.split(".")[1] for name in eval(child.stdout)}  # noqa: S307 - our own print
    assert rooms <= {
        "bundle", "classifier", "commandline", "console", "errors", "images", "graphs", "label", "litert", "fsio",
        "interrupts", "modelfile", "storage", "threads",
    }  # fmt: skip
