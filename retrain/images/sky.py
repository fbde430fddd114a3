"""What becomes of pictures with more than 8 bits a value (FITS, 16-bit and float): limits, a curve, 256 levels.

The limits are astropy's own (ZScaleInterval, PercentileInterval, MinMaxInterval), the asinh curve is that of Lupton et
al. ("Preparing Red-Green-Blue Images from CCD Data", 2004) as astropy's AsinhStretch has it:
asinh(x / a) / asinh(1 / a). Colour planes share one pair of limits, so that what is white in the data stays white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrain.errors import ImageError

if TYPE_CHECKING:
    from retrain.config import RunConfig

LIMIT_RULES = ("zscale", "percentile", "minmax")
CURVES = ("asinh", "linear", "sqrt", "log")
INSTALL = "python -m pip install 'retrain-photos[astro]'"
# Part of every fingerprint of a stretch: raise it when the same file would give other pixels.
VERSION = 1
# astropy's LogStretch has the same.
_LOG_A = 1000.0
# Values that are stretched at a time, in double precision: what is held beside the picture does not grow with it.
_AT_ONCE = 1 << 20

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SkyStretch:
    """How a picture with more than 8 bits a value is brought to 8.

    Args:
        limits: "zscale", "percentile" or "minmax": which value becomes black and which white.
        percentile: share of the values between the limits, percent; of the limits "percentile" alone.
        curve: "asinh", "linear", "sqrt" or "log": how values between the limits are spread.
        asinh_a: where asinh turns from linear to logarithmic, as a share of the range; above 0, at most 1.
    """

    limits: str
    percentile: float = 99.5
    curve: str = "asinh"
    asinh_a: float = 0.1

    @property
    def fingerprint(self) -> str:
        """All that decides the pixels of a given file, as text."""
        rule = f"{self.limits} {self.percentile!r}" if self.limits == "percentile" else self.limits
        curve = f"{self.curve} {self.asinh_a!r}" if self.curve == "asinh" else self.curve
        return f"sky={VERSION} {rule} {curve}"

    def problem(self) -> str:
        """Say which field is not what it may be; empty where all are."""
        if self.limits not in LIMIT_RULES or self.curve not in CURVES:
            return f"limits {self.limits!r} or curve {self.curve!r}"
        for name, value, most in (("percentile", self.percentile, 100), ("asinh_a", self.asinh_a, 1)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                return name
        return ""


def sky_of(config: RunConfig) -> SkyStretch | None:
    """Pick the flags that say how pictures of the sky are stretched.

    Args:
        config: what a run is told; nothing is wrong with it.

    Returns:
        The stretch; None where pictures of the sky are not asked for.
    """
    if config.sky_limits not in LIMIT_RULES:
        return None
    return SkyStretch(config.sky_limits, config.sky_percentile, config.sky_stretch, config.sky_asinh_a)


def sky_limits(values: Values, sky: SkyStretch) -> tuple[float, float]:
    """Find the values that become black and white.

    Args:
        values: real numbers of any shape, in the order of the file: zscale looks at a sample of them.
        sky: gives the rule.

    Returns:
        Lower and upper limit; equal where no value is a finite number.

    Raises:
        ImageError: astropy is not installed.
    """
    if not np.isfinite(values).any():
        return 0.0, 0.0
    low, high = _interval(sky).get_limits(values)
    return float(low), float(high)


def stretched(values: Values, sky: SkyStretch) -> npt.NDArray[np.uint8]:
    """Bring values to 256 levels.

    Args:
        values: real numbers (H, W) or (3, H, W); what is not a number becomes black.
        sky: how.

    Returns:
        uint8 of the same shape, 0 to 255; all 0 where the limits are one value.

    Raises:
        ImageError: astropy is not installed.
    """
    with np.errstate(all="ignore"):
        low, high = sky_limits(values, sky)
        levels = np.zeros(values.shape, np.uint8)
        if not high > low:
            return levels
        rows = values.reshape(-1, values.shape[-1])
        out = levels.reshape(rows.shape)
        step = max(1, _AT_ONCE // rows.shape[1])
        for at in range(0, len(rows), step):
            out[at : at + step] = _levels(rows[at : at + step], low, high, sky)
    return levels


def _levels(values: Values, low: float, high: float, sky: SkyStretch) -> npt.NDArray[np.uint8]:
    share = values.astype(np.float64)
    np.nan_to_num(share, copy=False, nan=low, posinf=high, neginf=low)
    # Divided by twice: the range of the largest numbers there are is none itself.
    share *= 0.5
    share -= 0.5 * low
    share /= 0.5 * high - 0.5 * low
    np.clip(share, 0, 1, out=share)
    bright = curved(share, sky) * 255
    return np.rint(bright).astype(np.uint8)


def curved(share: npt.NDArray[np.float64], sky: SkyStretch) -> npt.NDArray[np.float64]:
    """Apply a curve.

    Args:
        share: float64, 0 (lower limit) to 1 (upper limit).
        sky: gives the curve.

    Returns:
        float64 of the same shape, 0 to 1.
    """
    bright = share
    if sky.curve == "asinh":
        bright = np.arcsinh(share / sky.asinh_a) / np.arcsinh(1 / sky.asinh_a)
    elif sky.curve == "log":
        bright = np.log1p(_LOG_A * share) / np.log1p(_LOG_A)
    elif sky.curve == "sqrt":
        bright = np.sqrt(share)
    return bright


def _interval(sky: SkyStretch) -> Any:  # noqa: ANN401 - of a library that is not always there
    try:
        # Here, because it is an extra, and 20 ms behind astropy's own 200 (docs/sky.md).
        from astropy import visualization
    except ImportError as error:
        raise no_astropy() from error
    if sky.limits == "percentile":
        return visualization.PercentileInterval(sky.percentile)
    return visualization.ZScaleInterval() if sky.limits == "zscale" else visualization.MinMaxInterval()


def no_astropy() -> ImageError:
    """Make the error of a picture that cannot be read without astropy.

    Returns:
        The error, not raised yet.
    """
    return ImageError("no astropy", f"FITS, TIFF and 16-bit pictures are read with astropy; {INSTALL}")
