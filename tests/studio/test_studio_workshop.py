"""What the studio knows, and what becomes of it when corrections, jobs and runs cross each other."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from studio_runs import add, examined, in_trouble, move, trained, untrained, wait_for, working

from retrain.errors import NumericalError, UsageError
from retrain.studio import workshop as module
from retrain.studio.refitting import Overtaken
from retrain.studio.settling import unsupported
from retrain.studio.workshop import config_of


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A run, once."""
    return trained(tmp_path_factory.mktemp("left") / "run")


@pytest.fixture
def config(left, tmp_path):
    """The same, with photographs that may be changed."""
    return replace(left, image_dir=str(shutil.copytree(left.image_dir, tmp_path / "photos")))


def test_a_folder_with_a_run_gets_a_head_and_is_cross_validated(config):
    with working(config) as shop:
        standing = wait_for(shop, examined)
        assert standing.trouble == ""
        assert standing.fitted.test.accuracy.count > 0
        assert standing.examined.numbers.accuracy.count == 45
        assert shop.events.kinds()[:3] == ["folder", "fitting", "fitted"]


def test_before_any_run_there_is_no_head_and_no_trouble(tmp_path):
    with working(untrained(tmp_path / "run")) as shop:
        shop._wanted.put(None)
        shop._thread.join(60)
        assert shop.standing.fitted is None
        assert shop.standing.trouble == ""
        assert len(shop.standing.catalog.records) == 45


def test_a_correction_moves_the_numbers_and_says_what_flipped(config):
    with working(config) as shop:
        first = wait_for(shop, examined).fitted
        for number in range(0, 39, 3):
            move(config, f"{number:04d}.png", "class_0", "class_1")
            move(config, f"{number + 1:04d}.png", "class_1", "class_0")
        revision = shop.look_again().revision
        standing = wait_for(shop, examined)
        assert standing.fitted_revision == revision
        assert standing.fitted is not first
        assert standing.flips
        for flip in standing.flips:
            assert flip.before != flip.now
            assert (Path(config.image_dir) / flip.path).is_file()


def test_a_correction_ends_the_fit_that_goes_on(config, monkeypatch):
    begun, fits = threading.Event(), []
    real = module.fit

    def slow(*args):
        fits.append(args[1])
        if len(fits) == 1:
            begun.set()
            assert args[5].wait(60)  # the stop is set by the correction
            raise Overtaken
        return real(*args)

    monkeypatch.setattr(module, "fit", slow)
    with working(config) as shop:
        assert begun.wait(60)
        now = shop.look_again()
        assert wait_for(shop, examined).fitted_revision == now.revision
        assert len(fits) == 2
        assert fits[1] is now.catalog


def test_a_correction_ends_the_cross_validation_that_goes_on(config, monkeypatch):
    begun, tries = threading.Event(), []
    real = module.examine

    def slow(fitted, stop):
        tries.append(fitted)
        if len(tries) == 1:
            begun.set()
            assert stop.wait(60)
            raise Overtaken
        return real(fitted, stop)

    monkeypatch.setattr(module, "examine", slow)
    with working(config) as shop:
        assert begun.wait(60)
        assert shop.standing.fitted is tries[0]
        assert shop.standing.examined is None
        shop.look_again()
        assert wait_for(shop, examined).fitted is tries[1]


def test_what_an_overtaken_job_found_is_not_shown(config, monkeypatch):
    real, second = module.fit, []

    def late(*args):
        fitted = real(*args)
        if not second:
            second.append(shop.look_again())  # a correction comes when the head is done, and not shown yet
        return fitted

    with working(config, look=False) as shop:
        monkeypatch.setattr(module, "fit", late)
        shop.look_again()
        standing = wait_for(shop, examined)
        assert standing.fitted_revision == second[0].revision
        assert shop.events.kinds().count("fitted") == 1


def test_trouble_of_a_job_that_was_overtaken_is_not_told(config, monkeypatch):
    real, tries = module.fit, []

    def failing(*args):
        tries.append(args)
        if len(tries) == 1:
            shop.look_again()
            raise NumericalError("of a folder that is gone")
        return real(*args)

    with working(config, look=False) as shop:
        monkeypatch.setattr(module, "fit", failing)
        shop.look_again()
        assert wait_for(shop, examined).trouble == ""
        assert "trouble" not in shop.events.kinds()


def test_a_flaw_of_the_studio_is_trouble_and_the_next_job_runs(config, monkeypatch):
    real, tries = module.fit, []

    def failing(*args):
        tries.append(args)
        if len(tries) == 1:
            raise ZeroDivisionError("a flaw")
        return real(*args)

    monkeypatch.setattr(module, "fit", failing)
    with working(config) as shop:
        assert "an error of the studio itself" in wait_for(shop, in_trouble).trouble
        shop.look_again()
        assert wait_for(shop, examined).trouble == ""


def test_cross_validation_that_fails_is_told_and_the_head_stays(config, monkeypatch):
    monkeypatch.setattr(module, "examine", lambda fitted, stop: (_ for _ in ()).throw(NumericalError("it is NaN")))
    with working(config) as shop:
        standing = wait_for(shop, in_trouble)
        assert standing.trouble == "it is NaN"
        assert standing.fitted is not None
        assert standing.fitted_revision == standing.revision


def test_classes_that_go_and_come_back_are_trouble_that_goes(config):
    root = Path(config.image_dir)
    away = root.parent / "away"
    away.mkdir()
    with working(config) as shop:
        before = wait_for(shop, examined).fitted
        for name in ("class_1", "class_2"):
            shutil.move(root / name, away / name)
        now = shop.look_again()
        assert "multiple classes are needed" in now.problems[0]
        standing = wait_for(shop, in_trouble)
        assert standing.fitted is before  # what is shown is what was known, and it says that it is not of now
        assert standing.fitted_revision != standing.revision
        shutil.move(root / "class_0", away / "class_0")
        assert shop.look_again().problems
        wait_for(shop, in_trouble)
        for name in ("class_0", "class_1"):
            shutil.move(away / name, root / name)
        shop.look_again()
        standing = wait_for(shop, examined)
        assert standing.trouble == ""
        assert standing.fitted.catalog.labels == ("class_0", "class_1")


def test_a_folder_that_is_gone_is_trouble(config):
    root = Path(config.image_dir)
    with working(config) as shop:
        wait_for(shop, examined)
        root.rename(root.with_name("elsewhere"))
        assert shop.look_again().problems or shop.standing.catalog is None
        assert wait_for(shop, in_trouble).trouble
        root.with_name("elsewhere").rename(root)
        shop.look_again()
        assert wait_for(shop, examined).trouble == ""


def test_all_photographs_of_a_class_can_be_moved_away_and_back(config):
    names = [path.name for path in sorted((Path(config.image_dir) / "class_2").iterdir())]
    with working(config) as shop:
        wait_for(shop, examined)
        for name in names:
            move(config, name, "class_2", "class_1")
        shop.look_again()
        standing = wait_for(shop, lambda now: examined(now) or in_trouble(now))
        if standing.fitted.catalog.labels == ("class_0", "class_1"):
            assert standing.trouble == ""
        else:
            assert "class_2" in standing.trouble
        for name in names:
            move(config, name, "class_1", "class_2")
        shop.look_again()
        standing = wait_for(shop, lambda now: examined(now) and len(now.fitted.catalog.labels) == 3)
        assert standing.trouble == ""


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_new_class_of_few_photographs_is_a_head_or_a_sentence(config, count):
    with working(config) as shop:
        wait_for(shop, examined)
        for number in range(count):
            add(config, f"class_9/{number}.png", number)
        shop.look_again()
        standing = wait_for(shop, lambda now: examined(now) or in_trouble(now))
        assert "Traceback" not in standing.trouble
        assert standing.trouble or standing.fitted.catalog.labels[-1] == "class_9"


def test_photographs_that_cannot_be_read_do_not_end_the_loop(config):
    with working(config) as shop:
        wait_for(shop, examined)
        for number in range(20):
            (Path(config.image_dir) / "class_0" / f"broken{number}.png").write_bytes(
                b"\x89PNG\r\n\x1a\n" + bytes(number)
            )
        shop.look_again()
        assert "could not be read" in wait_for(shop, in_trouble).trouble or shop.standing.trouble
        for path in Path(config.image_dir).glob("class_0/broken*"):
            path.unlink()
        shop.look_again()
        assert wait_for(shop, examined).trouble == ""


def test_looks_at_the_same_time_end_with_what_the_folder_is(config):
    with working(config) as shop:
        wait_for(shop, examined)

        def correct(number):
            move(config, f"{3 * number:04d}.png", "class_0", "class_1")
            shop.look_again()

        threads = [threading.Thread(target=correct, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        standing = wait_for(shop, examined)
        assert standing.revision == 7
        counts = [sum(record.label == label for record in standing.fitted.catalog.records) for label in range(3)]
        assert counts == [9, 21, 15]


def test_a_run_that_ends_while_a_correction_comes_leaves_its_config(config):
    with working(config) as shop:
        wait_for(shop, examined)
        other = replace(config, how_many_training_steps=7)
        threads = [threading.Thread(target=shop.take, args=(other,)), threading.Thread(target=shop.look_again)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        standing = wait_for(shop, examined)
        assert standing.fitted.recipe.steps == 7
        assert shop._settled.config.how_many_training_steps == 7


def test_a_backbone_is_prepared_once_and_again_after_a_run(config, monkeypatch):
    settled, real = [], module.settle
    monkeypatch.setattr(module, "settle", lambda *args: settled.append(1) or real(*args))
    with working(config) as shop:
        wait_for(shop, examined)
        shop.look_again()
        wait_for(shop, examined)
        assert len(settled) == 1
        shop.take(config)
        wait_for(shop, examined)
        assert len(settled) == 2


def test_closing_ends_a_job_and_begins_no_other(config, monkeypatch):
    begun = threading.Event()

    def endless(*args):
        begun.set()
        assert args[5].wait(60)
        raise Overtaken

    monkeypatch.setattr(module, "fit", endless)
    with working(config) as shop:
        assert begun.wait(60)
        shop.close()
        assert not shop._thread.is_alive()
        assert shop.standing.trouble == ""


@pytest.mark.parametrize("flag", ["split_file", "image_list"])
def test_a_run_over_a_table_is_refused(left, tmp_path, flag):
    told = Path(left.output_graph).with_name("model.metrics.json").read_text()
    assert f'"{flag}": ""' in told
    (tmp_path / "model.metrics.json").write_text(told.replace(f'"{flag}": ""', f'"{flag}": "table.csv"'))
    with pytest.raises(UsageError, match="--image_list or --split_file"):
        config_of(str(tmp_path / "model.pb"), "")


def test_no_run_and_no_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected --image_dir"):
        config_of(str(tmp_path / "model.pb"), "")


@pytest.mark.parametrize("train", ["scratch", "finetune"])
def test_the_head_of_a_whole_network_is_not_fitted_and_that_is_said(config, train):
    with working(replace(config, train=train)) as shop:
        assert "whole network" in wait_for(shop, in_trouble).trouble
        assert shop.standing.fitted is None


def test_several_labels_are_not_fitted_and_that_is_said(config):
    assert "several labels" in unsupported(replace(config, multi_label=True))
    assert unsupported(config) == ""
