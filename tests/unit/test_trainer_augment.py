"""What is drawn for training, and that pixels and labels are what the draw says."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import noise, scene

from retrain.distortions import View, apply
from retrain.images import InputSpec
from retrain.trainer.augment import Augmenter, Draws, Mix, draw_mix, shuffled, uniform
from retrain.trainer.job import Augmentation

SPEC = InputSpec(24, 24, 127.5, 127.5)
TALL = InputSpec(32, 20, 127.5, 127.5)
OFF = Augmentation()

percent = st.integers(0, 100)
strength = st.sampled_from([0.0, 0.01, 0.2, 1.0, 10.0])
augmentations = st.builds(
    Augmentation,
    st.booleans(),
    percent,
    percent,
    percent,
    st.booleans(),
    percent,
    st.integers(0, 180),
    strength,
    strength,
)
seeds = st.integers(0, 2**32 - 1)
PINNED, PINNED_ORDER = [0.4269594042694087, 0.5581573329098647, 0.3857001816964245], [5, 1, 7, 3, 4, 0, 2, 6]
specs = st.builds(InputSpec, st.integers(1, 40), st.integers(1, 40), st.just(0.0), st.just(1.0))


def draws_of(view=None, angle=0.0):
    view = view or View()
    return Draws(
        np.array([view.quarter_turns]), np.array([view.mirrored]), np.array([view.enlargement]), np.array([view.top]),
        np.array([view.left]), np.array([angle]), np.array([view.gains], np.float32),
    )  # fmt: skip


def augmented(augmenter, pixels, draws, spec, place=0):
    out = np.full((spec.height, spec.width, 3), 77, augmenter.dtype)
    augmenter.apply(pixels, draws, place, out)
    return out


# What is drawn


@given(augmentations, seeds, st.integers(0, 10**6))
def test_a_draw_stays_in_its_bounds(told, seed, epoch):
    draws = Augmenter(told, SPEC).draw(seed, epoch, 50)
    margin, bright, colour = (1 + told.random_crop / 100, told.random_brightness / 100, told.random_colour / 100)
    assert ((draws.enlargement >= margin) & (draws.enlargement <= margin * (1 + told.random_scale / 100))).all()
    assert ((draws.top >= 0) & (draws.top < 1) & (draws.left >= 0) & (draws.left < 1)).all()
    assert (draws.gains >= (1 - bright) * (1 - colour) - 1e-6).all()
    assert (draws.gains <= (1 + bright) * (1 + colour) + 1e-6).all()
    assert (abs(draws.angle) <= np.radians(told.random_rotation)).all()
    assert set(draws.quarter_turns.tolist()) <= set(range(4) if told.random_quarter_turns else [0])
    assert told.flip_left_right or not draws.mirrored.any()
    if not told.random_colour:
        assert (draws.gains == draws.gains[:, :1]).all()


def test_draws_are_spread_as_they_should_be():
    told = Augmentation(True, 10, 20, 30, True, 15, 45)
    draws = Augmenter(told, SPEC).draw(0, 0, 20_000)
    scale, bright = draws.enlargement / 1.1, draws.gains.astype(float)
    assert abs(draws.mirrored.mean() - 0.5) < 0.02
    assert (abs(np.bincount(draws.quarter_turns) / 20_000 - 0.25) < 0.02).all()
    for values, low, high in [
        (scale, 1, 1.2),
        (draws.top, 0, 1),
        (draws.left, 0, 1),
        (np.degrees(draws.angle), -45, 45),
    ]:
        assert abs((values.mean() - low) / (high - low) - 0.5) < 0.02
        assert abs(values.std() / (high - low) - 12**-0.5) < 0.01
    assert (abs(bright.mean(axis=0) - 1) < 0.01).all()
    assert 0.5 < np.corrcoef(bright[:, 0], bright[:, 1])[0, 1] < 0.95
    everything = np.stack([scale, draws.top, draws.left, draws.angle, bright[:, 0], draws.mirrored], axis=1)
    assert (abs(np.corrcoef(everything.T) - np.eye(6)) < 0.03).all()


@given(augmentations, seeds, st.integers(0, 1000), st.integers(1, 40))
def test_a_draw_depends_on_seed_epoch_and_place_alone(told, seed, epoch, count):
    one, other = (Augmenter(told, SPEC).draw(seed, epoch, n) for n in (count, 40))
    for field in fields(Draws):
        assert (getattr(one, field.name) == getattr(other, field.name)[:count]).all()


def test_epochs_seeds_and_places_differ():
    augmenter = Augmenter(Augmentation(random_rotation=10), SPEC)
    tables = [augmenter.draw(seed, epoch, 100).angle for seed in (0, 1) for epoch in (0, 1, 11)]
    assert len(np.unique(np.concatenate(tables))) == 600


def test_numbers_are_the_same_in_every_version():
    # Checkpoints go on with them: when these change, TRAINING_VERSION of job.py has to.
    assert uniform("augment 3 5", 3).tolist() == PINNED
    assert shuffled("order 3 5", 8).tolist() == PINNED_ORDER


@given(st.text(max_size=20), st.integers(0, 300))
def test_an_order_has_each_once(what, count):
    assert sorted(shuffled(what, count).tolist()) == list(range(count))


# What is made of a picture


@given(specs, seeds, st.integers(0, 100))
def test_with_everything_off_nothing_is_changed(spec, seed, epoch):
    augmenter, pixels = Augmenter(OFF, spec), noise(spec.height, spec.width)
    assert augmenter.source == spec
    assert augmenter.dtype == np.uint8
    assert not augmenter.is_on
    assert (augmented(augmenter, pixels, augmenter.draw(seed, epoch, 3), spec, 2) == pixels).all()


@settings(max_examples=60)
@given(augmentations, specs, seeds)
def test_whatever_is_drawn_fits_and_stays_in_range(told, spec, seed):
    augmenter = Augmenter(told, spec)
    source = augmenter.source
    assert source.height >= spec.height
    assert source.width >= spec.width
    draws = augmenter.draw(seed, 0, 4)
    for place in range(4):
        out = augmented(augmenter, noise(source.height, source.width, place), draws, spec, place)
        again = augmented(augmenter, noise(source.height, source.width, place), draws, spec, place)
        assert out.tobytes() == again.tobytes()
        assert out.min() >= 0
        assert (out <= 255 * draws.gains[place] + 1e-3).all()


@settings(max_examples=60)
@given(specs, st.integers(0, 50), st.integers(0, 3), st.booleans(), st.floats(0, 0.99), st.floats(0, 0.99))
def test_turns_cut_and_mirror_are_those_of_cached_views(spec, crop, turns, mirrored, top, left):
    side = max(spec.height, spec.width)
    spec = replace(spec, height=side, width=side)  # else a view is squeezed from the photograph, not from what is kept
    told = Augmentation(True, crop, random_quarter_turns=True)
    augmenter = Augmenter(told, spec)
    kept = noise(augmenter.source.height, augmenter.source.width)
    view = View(turns, 1 + crop / 100, top, left, mirrored)
    assert (augmented(augmenter, kept, draws_of(view), spec) == apply(Image.fromarray(kept), view, spec)).all()


@settings(max_examples=60)
@given(st.integers(0, 3), st.floats(1.1, 1.1 * 1.3), st.floats(0, 0.99), st.floats(0, 0.99), st.booleans())
def test_scaled_and_squeezed_ones_are_nearly_those_of_cached_views(turns, enlargement, top, left, mirrored):
    augmenter = Augmenter(Augmentation(True, 10, 30, random_quarter_turns=True), TALL)
    photo = scene(3, (200, 200))
    kept = np.asarray(photo.resize((augmenter.source.width, augmenter.source.height), Image.Resampling.BILINEAR))
    view = View(turns, enlargement, top, left, mirrored)
    difference = abs(augmented(augmenter, kept, draws_of(view), TALL) - apply(photo, view, TALL))
    assert difference.mean() < 2


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_tiny_turn_is_nearly_none(turns, mirrored):
    # The cut and the turn are two ways of calculating: here they meet.
    told = Augmentation(True, 10, 0, random_quarter_turns=True, random_rotation=180)
    augmenter = Augmenter(told, TALL)
    kept = np.asarray(scene(5, (augmenter.source.width, augmenter.source.height)))
    view = View(turns, 1.1, 0.7, 0.2, mirrored)
    cut, turned = (augmented(augmenter, kept, draws_of(view, angle), TALL).astype(int) for angle in (0.0, 1e-6))
    assert abs(cut - turned).mean() < 3


def test_a_quarter_of_a_turn_by_angle_is_a_quarter_turn():
    augmenter = Augmenter(Augmentation(random_rotation=90), SPEC)
    kept = noise(24, 24)
    assert (augmented(augmenter, kept, draws_of(angle=np.pi / 2), SPEC) == np.rot90(kept)).all()
    assert (augmented(augmenter, kept, draws_of(View(mirrored=True), np.pi / 2), SPEC) == np.rot90(kept)[:, ::-1]).all()


def test_gains_are_neither_rounded_nor_clipped():
    augmenter, kept = Augmenter(Augmentation(random_colour=50), SPEC), noise(24, 24)
    got = augmented(augmenter, kept, draws_of(View(gains=(1.5, 0.5, 1.0))), SPEC)
    assert got.dtype == np.float32
    assert (got == kept * np.array([1.5, 0.5, 1.0], np.float32)).all()
    assert got.max() > 255


# Mixing


def batch(count, dtype=np.float32, spec=SPEC, classes=3):
    images = np.stack([noise(spec.height, spec.width, n) for n in range(count)]).astype(dtype)
    return images, np.eye(classes, dtype=np.float32)[np.arange(count) % classes]


@given(strength, strength, seeds, st.integers(1, 12), specs)
def test_shares_of_labels_sum_to_one_and_pictures_keep_their_kind(mixup, cutmix, seed, count, spec):
    told = Augmentation(mixup=mixup, cutmix=cutmix)
    mix = draw_mix(told, str(seed), count, spec)
    if mix is None:
        assert mixup == cutmix == 0
        return
    images, targets = batch(count, Augmenter(told, spec).dtype, spec)
    lowest, highest = images.min(), images.max()
    pictures, labels = mix.pictures(images.copy()), mix.labels(targets)
    assert pictures.dtype == images.dtype
    assert pictures.shape == images.shape
    assert lowest - 1e-3 <= pictures.min() <= pictures.max() <= highest + 1e-3
    assert labels.dtype == np.float32
    assert (abs(labels.sum(axis=1) - 1) < 1e-6).all()
    assert (labels >= 0).all()
    assert ((mix.share >= 0) & (mix.share <= 1)).all()
    assert sorted(mix.partner.tolist()) == list(range(count))


def test_nothing_is_mixed_unless_it_is_asked_for():
    assert draw_mix(Augmentation(True, 1, 1, 1, True, 1, 1), "0 0 0", 4, SPEC) is None


def test_a_blend_is_a_sum_of_two_pictures():
    images, targets = batch(4)
    mix = Mix(np.array([1, 0, 3, 2]), np.array([0.25, 0.5, 1, 0]), None)
    mixed, labels = mix.pictures(images.copy()), mix.labels(targets.copy())
    assert np.allclose(mixed[0], 0.25 * images[0] + 0.75 * images[1])
    assert (mixed[2] == images[2]).all()
    assert (mixed[3] == images[2]).all()
    assert labels[0].tolist() == [0.25, 0.75, 0]


@given(seeds, st.integers(2, 9))
def test_a_pasted_box_is_the_partners_and_has_its_share_of_the_label(seed, count):
    told = Augmentation(cutmix=1.0)
    mix = draw_mix(told, str(seed), count, TALL)
    images, targets = batch(count, np.uint8, TALL, count)
    mixed, labels = mix.pictures(images), mix.labels(targets.copy())
    for place, (top, left, bottom, right) in enumerate(mix.boxes.tolist()):
        assert 0 <= top <= bottom <= 32
        assert 0 <= left <= right <= 20
        inside = np.zeros((32, 20), bool)
        inside[top:bottom, left:right] = True
        other = mix.partner[place]
        assert (mixed[place][inside] == images[other][inside]).all()
        assert (mixed[place][~inside] == images[place][~inside]).all()
        if other != place:
            assert labels[place, other] == pytest.approx(inside.mean(), abs=1e-6)


def test_with_both_a_batch_gets_one_or_the_other_about_as_often():
    told = Augmentation(mixup=1.0, cutmix=1.0)
    kinds = [draw_mix(told, f"0 0 {n}", 4, SPEC).boxes is None for n in range(400)]
    assert 150 < sum(kinds) < 250


def test_shares_are_those_of_the_beta_distribution():
    shares = np.concatenate([draw_mix(Augmentation(mixup=0.2), f"0 0 {n}", 100, SPEC).share for n in range(100)])
    assert abs(shares.mean() - 0.5) < 0.02
    assert abs(shares.var() - 1 / (4 * (2 * 0.2 + 1))) < 0.01
