"""What --sky_limits and its companions may be, and checks of them; the room images does what they say."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig

OFF = "none"
RULES = (OFF, "zscale", "percentile", "minmax")
CURVES = ("asinh", "linear", "sqrt", "log")
LIMITS_HELP = (
    "read FITS, 16-bit and float TIFF, and all of 16-bit PNGs, and find in each which value becomes black and which "
    "white: 'percentile' (--sky_percentile), 'zscale' (that of IRAF and DS9), 'minmax'; 'none' reads none of them but "
    "the upper 8 bits of PNGs. Kept in the model; needs pip install 'retrain-photos[astro]'"
)
PERCENTILE_HELP = "share of a picture's values between black and white, by --sky_limits=percentile, in percent"
CURVE_HELP = "how values between black and white are spread: 'asinh' lifts what is faint, 'linear', 'sqrt' or 'log'"
ASINH_A_HELP = (
    "where --sky_stretch=asinh turns from linear to logarithmic, as a share of the range; smaller lifts what is fainter"
)
# Flag -> the flag that it belongs to, and the value of that.
_BELONGS = {"sky_percentile": ("sky_limits", "percentile"), "sky_asinh_a": ("sky_stretch", "asinh")}


def is_on(config: RunConfig) -> bool:
    """Say whether pictures of the sky are read and stretched.

    Args:
        config: what a run is told.

    Returns:
        False for ``--sky_limits none``.
    """
    return config.sky_limits != OFF


def sky_problems(config: RunConfig) -> list[str]:
    """Check the four flags against each other, and that astropy is there; it is not imported.

    Args:
        config: what a run is told.

    Returns:
        One sentence a problem.
    """
    usual = type(config)
    changed = [n for n in ("sky_percentile", "sky_stretch", "sky_asinh_a") if getattr(config, n) != getattr(usual, n)]
    if not is_on(config):
        return [
            f"got --{name}={getattr(config, name)} without --sky_limits; give --sky_limits=percentile as well, or "
            "leave it away"
            for name in changed
        ]
    problems = [
        f"got --{name}={getattr(config, name)} and --{owner}={getattr(config, owner)}, to which it says nothing; give "
        f"--{owner}={value} or leave it away"
        for name, (owner, value) in _BELONGS.items()
        if name in changed and getattr(config, owner) != value
    ]
    if config.sky_asinh_a == 0:
        problems.append("expected --sky_asinh_a above 0, got 0; 0.1 is usual")
    if importlib.util.find_spec("astropy") is None:
        problems.append(
            f"got --sky_limits={config.sky_limits}, which needs astropy, and there is none; "
            "python -m pip install 'retrain-photos[astro]'"
        )
    return problems
