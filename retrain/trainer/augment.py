"""Distorts pictures anew each time they are trained on, and mixes them; what is drawn, and how it is done.

The draws are a function of the seed, the epoch and the place in the epoch's order alone: not of threads, of what is
cached, nor of where a run was resumed. Their distributions are those of retrain.distortions where both have the flag;
the arithmetic is docs/augmentation.md's. Turns, cut, scale and mirroring are one affine map, so a picture is resampled
once; NumPy and cykooz-resizer do it in the threads that decode, in less time than TensorFlow's operations take.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.distortions import Distortion, enlarged_size
from retrain.images import Floats, InputSpec, Pixels
from retrain.pixels.warp import Box, cut_out, warp
from retrain.trainer.job import Augmentation

_COLUMNS = ("turns", "mirrored", "scale", "top", "left", "angle", "brightness", "red", "green", "blue")
_DOUBLE_BITS = 53
_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """What is drawn for the pictures of an epoch, N of them, each by its place in the epoch's order.

    Args:
        quarter_turns: intp (N,), 0 to 3, counter-clockwise.
        mirrored: bool (N,).
        enlargement: float64 (N,), at least 1.
        top: float64 (N,), where the cut begins, as a share of the room there is, 0 to below 1.
        left: the same from the left.
        angle: float64 (N,), radians, counter-clockwise.
        gains: float32 (N, 3), factors of R, G and B.
    """

    quarter_turns: npt.NDArray[np.intp]
    mirrored: npt.NDArray[np.bool_]
    enlargement: _Matrix
    top: _Matrix
    left: _Matrix
    angle: _Matrix
    gains: Floats


class Augmenter:
    """Makes what is trained on of decoded pictures; may be used from several threads.

    Args:
        augmentation: what is drawn.
        spec: size of the network's input.
    """

    def __init__(self, augmentation: Augmentation, spec: InputSpec) -> None:
        self._augmentation, self._spec = augmentation, spec
        self._margin = 1 + augmentation.random_crop / 100
        distortion = Distortion(
            random_crop=augmentation.random_crop,
            random_scale=augmentation.random_scale,
            random_quarter_turns=augmentation.random_quarter_turns,
        )
        height, width = distortion.least_size(spec)
        self.source = replace(spec, height=height, width=width)
        self.is_on = replace(augmentation, mixup=0.0, cutmix=0.0).is_on
        self._has_gains = bool(augmentation.random_brightness or augmentation.random_colour)
        self.dtype = np.dtype(np.float32 if self._has_gains or augmentation.mixup else np.uint8)

    def draw(self, seed: int, epoch: int, count: int) -> Draws:
        """Draw for an epoch.

        Args:
            seed: of all draws.
            epoch: from 0.
            count: N, pictures of an epoch.

        Returns:
            The same for the same arguments; a longer epoch begins with the draws of a shorter one.
        """
        told, numbers = self._augmentation, uniform(f"augment {seed} {epoch}", count * len(_COLUMNS))
        drawn = dict(zip(_COLUMNS, numbers.reshape(count, len(_COLUMNS)).T, strict=True))

        def around_one(percent: int, what: str) -> _Matrix:
            return 1 + percent / 100 * (2 * drawn[what] - 1)

        brightness = around_one(told.random_brightness, "brightness")
        colours = [around_one(told.random_colour, colour) for colour in ("red", "green", "blue")]
        return Draws(
            quarter_turns=(told.random_quarter_turns * 4 * drawn["turns"]).astype(np.intp),
            mirrored=(drawn["mirrored"] < 0.5) & told.flip_left_right,
            enlargement=self._margin * (1 + told.random_scale / 100 * drawn["scale"]),
            top=drawn["top"],
            left=drawn["left"],
            angle=np.radians(told.random_rotation * (2 * drawn["angle"] - 1)),
            gains=np.stack([brightness * colour for colour in colours], axis=1).astype(np.float32),
        )

    def apply(self, pixels: Pixels, draws: Draws, place: int, out: npt.NDArray[Any]) -> None:
        """Make one picture.

        Args:
            pixels: uint8, of the height and width of ``source``.
            draws: of its epoch.
            place: its place in the epoch's order.
            out: (H, W, 3) of ``dtype``, contiguous, written to: RGB, 0 to 255 times the gains; neither rounded nor
                clipped after that, as in the original.
        """
        if self.is_on:
            matrix = self._matrix(draws, place)
            pixels = self._turned(pixels, matrix) if draws.angle[place] else self._cut(pixels, matrix, draws, place)
        if not self._has_gains:
            out[...] = pixels
            return
        wide = np.tile(draws.gains[place], self._spec.width)  # a row's factors: 4 times as fast as three at a time
        flat = (self._spec.height, -1)
        np.multiply(np.ascontiguousarray(pixels).reshape(flat), wide, out=out.reshape(flat), dtype=np.float32)

    def _turned(self, pixels: Pixels, matrix: _Matrix) -> Pixels:
        return warp(pixels, matrix, self._spec.height, self._spec.width)

    def _cut(self, pixels: Pixels, matrix: _Matrix, draws: Draws, place: int) -> Pixels:
        turns = int(draws.quarter_turns[place])
        height, width = _swapped((self._spec.height, self._spec.width), turns)
        corners = matrix @ np.array([[0, self._spec.width], [0, self._spec.height], [1, 1]], np.float64)
        (left, top), (right, bottom) = corners.min(axis=1), corners.max(axis=1)
        cut = np.rot90(cut_out(pixels, Box(top, left, bottom - top, right - left), height, width), turns)
        return _compact(cut[:, ::-1] if draws.mirrored[place] else cut)

    def _matrix(self, draws: Draws, place: int) -> _Matrix:
        """float64 (2, 3): from (x, y, 1) in the result to x and y in the decoded picture, in pixels."""
        turns, spec = int(draws.quarter_turns[place]), self._spec
        height, width = enlarged_size(float(draws.enlargement[place]), spec)
        top = int(draws.top[place] * (height - spec.height + 1))
        left = int(draws.left[place] * (width - spec.width + 1))
        middle = _shift(-spec.width / 2, -spec.height / 2)
        mirrored = np.diag([-1.0 if draws.mirrored[place] else 1.0, 1.0, 1.0])
        cut = _shift(left + spec.width / 2, top + spec.height / 2)
        before = _swapped((height, width), turns)
        source = np.diag([self.source.width / before[1], self.source.height / before[0], 1.0])
        unturned = _unturned(turns, height, width)
        matrix: _Matrix = source @ unturned @ cut @ _rotation(float(draws.angle[place])) @ mirrored @ middle
        return matrix[:2]


@dataclass(frozen=True)
class Mix:
    """How a batch of B pictures is mixed within itself.

    Args:
        partner: intp (B,), the picture that each is mixed with.
        share: float64 (B,), how much of itself stays, 0 to 1.
        boxes: intp (B, 4): top, left, bottom and right of what is pasted from the partner; None: both are blended.
    """

    partner: npt.NDArray[np.intp]
    share: _Matrix
    boxes: npt.NDArray[np.intp] | None

    def pictures(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Mix pictures.

        Args:
            images: (B, H, W, 3), float32 where they are blended; written over.

        Returns:
            The same shape and dtype.
        """
        if self.boxes is None:
            return self.labels(images)
        mixed = images.copy()
        for place, (top, left, bottom, right) in enumerate(self.boxes.tolist()):
            mixed[place, top:bottom, left:right] = images[self.partner[place], top:bottom, left:right]
        return mixed

    def labels(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Mix targets or weights by the shares of the pictures.

        Args:
            values: float32 (B, ...); written over.

        Returns:
            The same shape and dtype.
        """
        share = self.share.astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1))
        mixed = values[self.partner]
        mixed *= 1 - share
        values *= share
        mixed += values
        return mixed


def draw_mix(augmentation: Augmentation, where: str, count: int, spec: InputSpec) -> Mix | None:
    """Draw how a batch is mixed.

    Args:
        augmentation: says whether and how strongly: shares are drawn from Beta(a, a), one a picture.
        where: seed, epoch and number of the batch, as text.
        count: B, pictures of the batch.
        spec: size of the network's input.

    Returns:
        None where nothing is mixed. Mixup after Zhang et al., "mixup: beyond empirical risk minimization", 2018, ICLR;
        CutMix after Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable
        features", 2019, ICCV: the share is of the area that the box leaves once it is cut at the picture's edges.
    """
    kinds = [kind for kind in ("mixup", "cutmix") if getattr(augmentation, kind)]
    if not kinds:
        return None
    generator = np.random.Generator(_bits(f"mix {where}"))
    kind = kinds[int(uniform(f"kind {where}", 1)[0] * len(kinds))]
    partner = shuffled(f"partner {where}", count)
    strength = getattr(augmentation, kind)
    share = generator.beta(strength, strength, count)
    if kind == "mixup":
        return Mix(partner, share, None)
    boxes = _boxes(share, uniform(f"box {where}", 2 * count).reshape(count, 2), spec)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return Mix(partner, 1 - area / (spec.height * spec.width), boxes)


def uniform(what: str, count: int) -> _Matrix:
    """Draw numbers.

    Args:
        what: they are a function of this text.
        count: how many.

    Returns:
        float64 (count,), 0 to below 1, of 53 random bits; the same on every machine and in every version of NumPy.
    """
    raw: npt.NDArray[np.uint64] = _bits(what).random_raw(count)
    return (raw >> np.uint64(64 - _DOUBLE_BITS)).astype(np.float64) * 2.0**-_DOUBLE_BITS


def shuffled(what: str, count: int) -> npt.NDArray[np.intp]:
    """Draw an order.

    Args:
        what: it is a function of this text.
        count: how many.

    Returns:
        intp (count,), each of 0 to count - 1 once.
    """
    raw: npt.NDArray[np.uint64] = _bits(what).random_raw(count)
    return np.argsort(raw, kind="stable")


def _bits(what: str) -> np.random.Philox:
    digest = hashlib.sha256(f"retrain training {what}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "big"))


def _boxes(share: _Matrix, middle: _Matrix, spec: InputSpec) -> npt.NDArray[np.intp]:
    """Boxes of 1 - share of the picture around a middle that is drawn, cut at the picture's edges."""
    size, side = np.array([spec.height, spec.width]), np.sqrt(1 - share)[:, None]
    half, at = (size * side / 2).astype(np.intp), (size * middle).astype(np.intp)
    return np.hstack([np.maximum(at - half, 0), np.minimum(at + half, size)])


def _compact(pixels: Pixels) -> Pixels:
    """Copy what was mirrored or turned, a channel at a time, which takes a sixth of NumPy's own way."""
    if pixels.strides[2] == 1 and pixels.strides[1] == pixels.shape[2]:
        return pixels
    whole = np.empty(pixels.shape, np.uint8)
    for channel in range(pixels.shape[2]):
        whole[..., channel] = pixels[..., channel]
    return whole


def _swapped(size: tuple[int, int], turns: int) -> tuple[int, int]:
    return (size[1], size[0]) if turns % 2 else size


def _shift(x: float, y: float) -> _Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _rotation(angle: float) -> _Matrix:
    """Where a picture that is turned counter-clockwise has what it shows at (x, y, 1); y grows downwards."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)


def _unturned(turns: int, height: int, width: int) -> _Matrix:
    """From a picture turned by np.rot90, of that size, to where it was before."""
    return np.array(
        (
            [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            [[0, -1, height], [1, 0, 0], [0, 0, 1]],
            [[-1, 0, width], [0, -1, height], [0, 0, 1]],
            [[0, 1, 0], [-1, 0, width], [0, 0, 1]],
        )[turns],
        np.float64,
    )
