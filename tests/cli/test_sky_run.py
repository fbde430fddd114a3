"""Pictures of the sky, whole: trained on FITS, labelled as FITS, exported, and what is said where something is missing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, Place, python
from PIL import Image
from sky_files import faint, fits_bytes, fits_fz, fits_gz, png16
from tensorboard.util.tensor_util import make_ndarray

from retrain.bottlenecks import BottleneckStore
from retrain.bottlenecks.maintain import stats_of
from retrain.graphs.checked import checked_nodes
from retrain.modelfile import read_graph_bundle

pytestmark = pytest.mark.tensorflow
SKY = ("--sky_limits", "percentile")
QUICK = ("--how_many_training_steps=200", "--cross_validation_folds=0")
JPEGS = 3


@dataclass(frozen=True)
class SkyRun:
    place: Place
    photos: Path

    @property
    def graph(self) -> Path:
        return self.place.folder / "tf_files" / "retrained_graph.pb"


def write_counts(folder: Path) -> None:
    """Thirteen of each class as FITS, plain, packed and in tiles; in one class some JPEGs as they are."""
    pack = (
        fits_bytes,
        fits_gz,
        lambda counts: fits_fz(counts.astype(np.int32)),
        lambda counts: fits_bytes(counts * 1.5),
    )
    endings = (".fits", ".fits.gz", ".fits.fz", ".fit")
    for label in ("globular cluster", "open cluster"):
        (folder / label).mkdir(parents=True)
        for number, path in enumerate(sorted((PHOTOS / label).glob("*.jpg"))[:13]):
            counts = faint(path.read_bytes(), number)
            data = pack[number % 4](counts)
            (folder / label / f"{path.stem}{endings[number % 4]}").write_bytes(data)
    for path in sorted((PHOTOS / "open cluster").glob("*.jpg"))[20 : 20 + JPEGS]:
        shutil.copy(path, folder / "open cluster")


@pytest.fixture(scope="session")
def sky_run(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> SkyRun:
    place = Place(tmp_path_factory.mktemp("sky"), model_dir)
    write_counts(place.folder / "photos")
    done = place.retrain(*SKY, *QUICK, image_dir=place.folder / "photos")
    assert done.returncode == 0, done.stderr
    assert "Looking for images in 'open cluster': 16" in done.stdout
    return SkyRun(place, place.folder / "photos")


def scores(output: str) -> dict[str, float]:
    lines = [line for line in output.splitlines() if "(score=" in line]
    return {line.rsplit(" (score=", 1)[0]: float(line.rsplit("=", 1)[1].rstrip(")")) for line in lines}


def expected_scores(run: SkyRun, path: Path) -> np.ndarray:
    """What the run itself makes of a photograph: its cached vector through the layer that was trained."""
    (cache,) = (run.place.folder / "tf_files/bottlenecks").glob("mobilenet*.sqlite")
    rows = (run.place.folder / "tf_files/retrained_graph.split.csv").read_text().splitlines()
    (row,) = (line for line in rows if line.startswith(str(path.relative_to(run.photos))))
    sha = next(word for word in row.split(",") if len(word) == 64)
    stats = stats_of(cache)
    with BottleneckStore(cache, stats.fingerprint, stats.width) as store:
        vectors, damaged = store.read_matrix([bytes.fromhex(sha)])
    assert not damaged
    nodes = checked_nodes(run.graph.read_bytes())
    head = [make_ndarray(nodes[f"final_training_ops/{name}"].attr["value"].tensor) for name in
            ("weights/final_weights", "biases/final_biases")]  # fmt: skip
    logits = vectors[0] @ head[0] + head[1]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def test_a_picture_gets_the_scores_that_the_run_gave_it_and_nothing_is_written_to_the_home(
    sky_run: SkyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    chosen = [sorted(sky_run.photos.glob(f"*/*{ending}"))[0] for ending in (".fits", ".gz", ".fz", ".fit", ".jpg")]
    for path in chosen:
        said = sky_run.place.label("--image", path)
        assert said.returncode == 0, said.stderr
        found, wanted = scores(said.stdout), expected_scores(sky_run, path)
        labels = read_graph_bundle(sky_run.graph).labels
        np.testing.assert_allclose([found[label] for label in labels], wanted, atol=2e-5)
    assert list(tmp_path.iterdir()) == []


def test_the_model_says_how_it_stretches_and_a_folder_of_fits_is_labelled(sky_run: SkyRun) -> None:
    shown = python("-m", "retrain", "show", sky_run.graph.with_suffix(".tflite"), "--json")
    assert json.loads(shown.stdout)["sky"] == {
        "limits": "percentile",
        "percentile": 99.5,
        "curve": "asinh",
        "asinh_a": 0.1,
    }
    done = sky_run.place.label("--image", sky_run.photos, "--format=csv")
    assert done.returncode == 0, done.stderr
    assert "29 photographs" in done.stderr
    assert done.stdout.count(".fits") == 20  # of 26 pictures of the sky, 6 end in .fit


def test_a_picture_of_the_sky_is_annotated_and_sorted(sky_run: SkyRun, tmp_path: Path) -> None:
    picture = sorted(sky_run.photos.glob("*/*.fits"))[0]
    done = sky_run.place.label("--image", picture, "--annotate", tmp_path / "a.png", "--sort_into", tmp_path / "sorted")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert [path.name for path in (tmp_path / "sorted").glob("*/*")] == [picture.name]


def test_another_stretch_has_a_cache_of_its_own(sky_run: SkyRun, place: Place) -> None:
    shutil.copytree(sky_run.place.folder / "tf_files/bottlenecks", place.folder / "tf_files/bottlenecks")
    same = place.retrain(*SKY, *QUICK, image_dir=sky_run.photos)
    assert "0 bottleneck files created. 29 bottlenecks in use" in same.stdout
    other = place.retrain("--sky_limits=zscale", *QUICK, image_dir=sky_run.photos)
    assert "29 bottleneck files created. 29 bottlenecks in use" in other.stdout
    assert len(list((place.folder / "tf_files/bottlenecks").glob("mobilenet*.sqlite"))) == 2


def test_an_export_that_decodes_is_fed_only_what_it_can_decode(sky_run: SkyRun, tmp_path: Path) -> None:
    done = python("-m", "retrain", "export", sky_run.graph, "--format", "saved_model")
    assert done.returncode == 0, done.stderr
    assert "saved_model cannot stretch pictures of the sky" in done.stdout
    exports = json.loads(sky_run.graph.with_suffix(".exports.json").read_text())
    rows = {row["format"]: row for row in exports["exports"]}
    assert (rows["saved_model"]["photographs"], rows["saved_model"]["files"]) == (29, JPEGS)
    assert rows["graph"]["files"] <= JPEGS
    (tmp_path / "16.png").write_bytes(png16(faint(next(PHOTOS.glob("*/*.jpg")).read_bytes())))
    Image.new("RGB", (40, 30)).save(tmp_path / "8.png")
    code = (
        "import sys, tensorflow as tf; name = tf.saved_model.load(sys.argv[1]).signatures['serving_default']; "
        "name(image_bytes=tf.constant([open(sys.argv[2], 'rb').read()])); print('named')"
    )
    model = sky_run.graph.with_name("retrained_graph_saved_model")
    assert "named" in python("-c", code, model, tmp_path / "8.png").stdout
    refused = python("-c", code, model, tmp_path / "16.png")
    assert refused.returncode != 0
    assert "expected an 8-bit PNG, which was stretched" in refused.stderr


def test_the_doctor_takes_the_same_flags(sky_run: SkyRun, place: Place) -> None:
    words = ("--image_dir", sky_run.photos, "--model_dir", place.model_dir)
    seen = python("-m", "retrain", "doctor", *words, *SKY, cwd=place.folder)
    assert seen.returncode == 0, seen.stderr
    assert (
        "26  more than 8 bits a value (FITS, TIFF, PNG): stretched as --sky_limits and --sky_stretch say" in seen.stdout
    )
    assert "STOPS A RUN: nothing found" in seen.stdout
    plain = python("-m", "retrain", "doctor", *words, cwd=place.folder)
    assert "give --sky_limits=percentile to read them" in plain.stdout
    refused = python("-m", "retrain", "doctor", *words, "--sky_stretch=log", cwd=place.folder)
    assert refused.returncode == 2
    assert "got --sky_stretch=log without --sky_limits" in refused.stderr


def test_distorted_views_are_made_of_the_stretched_picture(sky_run: SkyRun, place: Place) -> None:
    more = ("--random_quarter_turns", "--flip_left_right", "--distorted_views=2")
    done = place.retrain(*SKY, *QUICK, *more, image_dir=sky_run.photos)
    assert done.returncode == 0, done.stderr
    assert "distorted bottlenecks created" in done.stdout
    assert "2 each of" in done.stdout


def test_without_the_flag_the_run_and_a_plain_model_name_it(sky_run: SkyRun, place: Place) -> None:
    refused = place.retrain(*QUICK, image_dir=sky_run.photos)
    assert refused.returncode == 2
    assert (
        "globular cluster' holds no images but 13 files of FITS or TIFF; give --sky_limits=percentile" in refused.stderr
    )
    alone = place.retrain("--sky_stretch=log", *QUICK)
    assert alone.returncode == 2
    assert "got --sky_stretch=log without --sky_limits" in alone.stderr


def test_without_astropy_both_commands_say_what_to_install(sky_run: SkyRun) -> None:
    picture = sorted(sky_run.photos.glob("*/*.fits"))[0]
    start = "import sys; sys.modules['astropy'] = None; "
    label = f"{start}from retrain.label import main; sys.exit(main(['--graph', {str(sky_run.graph)!r}, '--image', sys.argv[1]]))"
    refused = python("-c", label, picture)
    assert refused.returncode == 3
    assert "python -m pip install 'retrain-photos[astro]'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert python("-c", label, sorted(sky_run.photos.glob("*/*.jpg"))[0]).returncode == 0
    train = (
        "import importlib.util as u; find = u.find_spec; "
        "u.find_spec = lambda name, *more: None if name == 'astropy' else find(name, *more); "
        "from retrain import RunConfig; print(RunConfig(image_dir=sys.argv[1], sky_limits='zscale').problems())"
    )
    said = python("-c", f"import sys; {train}", PHOTOS)
    assert "needs astropy, and there is none; python -m pip install 'retrain-photos[astro]'" in said.stdout


def test_labelling_8_bit_photographs_does_not_import_astropy(sky_run: SkyRun) -> None:
    code = (
        "import sys; from retrain.label import main; "
        f"assert main(['--image', {str(ROOT / 'tf_files/test_photos/1.jpg')!r}, '--graph', {str(sky_run.graph)!r}]) == 0; "
        "print('astropy' in sys.modules)"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "False"
