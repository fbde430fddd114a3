"""The table of what a file can be and what a run does with it; docs/doctor.md shows it, a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass

from retrain.images import LIMITS
from retrain.survey.findings import COSTS, NOTE, Finding

# Pixels a side: a smaller photograph is enlarged seven times and more, and shows little.
TINY_PIXELS = 32


@dataclass(frozen=True)
class Treatment:
    """What a run does with one kind of file.

    Args:
        severity: as of a Finding.
        what: what such a file is; follows "N files: ".
        treatment: what a run does with it.
        fix: the nearest remedy; empty where nothing need be done.
        is_read: whether a run trains on it.
    """

    severity: str
    what: str
    treatment: str
    fix: str = ""
    is_read: bool = False

    def finding(self, kind: str) -> Finding:
        """Make the finding that files of this kind are counted in.

        Args:
            kind: its key in TREATMENTS.
        """
        return Finding(self.severity, kind, f"{self.what}: {self.treatment}", self.fix, count=0)


_MEND = "fetch it again from where it came from, or take it away"
_SKIPPED = "skipped, counted and listed by a run"
_MEGA = 1_000_000

TREATMENTS: dict[str, Treatment] = {
    "no-bytes": Treatment(COSTS, "empty, 0 bytes", _SKIPPED, _MEND),
    "unreadable": Treatment(
        COSTS, "cannot be read from the disk", _SKIPPED, "check the permissions (chmod u+r) and the disk"
    ),
    "truncated": Treatment(COSTS, "cut off before its end", _SKIPPED, _MEND),
    "damaged": Treatment(COSTS, "damaged, cannot be decoded", _SKIPPED, _MEND),
    "too-many-pixels": Treatment(
        COSTS,
        f"over {LIMITS.max_pixels // _MEGA} million pixels by its header (a bomb, or a mosaic)",
        f"never decoded; {_SKIPPED}",
        "make it smaller: a model sees some hundred pixels a side",
    ),
    "too-many-bytes": Treatment(
        COSTS, f"over {LIMITS.max_bytes // _MEGA} MB", f"never read; {_SKIPPED}", "save it as a JPEG of a smaller size"
    ),
    "too-many-scans": Treatment(
        COSTS,
        f"progressive JPEG of over {LIMITS.max_jpeg_scans} scans (made to keep a decoder busy)",
        f"never decoded; {_SKIPPED}",
        "save it again in an image editor, or take it away",
    ),
    "unread-format": Treatment(
        COSTS,
        "picture of a format that is not read (TIFF, FITS, HEIC, AVIF, PSD, SVG, camera raw ...)",
        "left out, or skipped where its suffix promises another format",
        "convert it to JPEG or PNG, for example: magick mogrify -format jpg FILES; FITS and 16-bit TIFF are read with "
        "--sky_limits percentile",
    ),
    "not-an-image": Treatment(
        COSTS, "no image, whatever its suffix says (a web page, a text ...)", _SKIPPED, _MEND
    ),
    "unknown-suffix": Treatment(
        COSTS,
        "image that would be read, under a suffix that no image has",
        "left out by its suffix",
        "give it the suffix of its format, for example .jpg",
    ),
    "tiny": Treatment(
        COSTS,
        f"under {TINY_PIXELS} pixels wide or high",
        "enlarged to the size of the model's input; shows little",
        "use the original in place of a thumbnail, or take it away",
        is_read=True,
    ),
    "wrong-suffix": Treatment(
        NOTE, "suffix of another format than its bytes", "read: the magic bytes decide, the suffix is not looked at",
        is_read=True,
    ),
    "animated": Treatment(NOTE, "animated", "the first frame is used", is_read=True),
    "cmyk": Treatment(NOTE, "CMYK, for print", "converted to RGB without a colour profile", is_read=True),
    "16-bit": Treatment(
        NOTE, "16 bits a channel", "the upper 8 bits are used", "all 16 are with --sky_limits percentile", is_read=True
    ),
    "stretched": Treatment(
        NOTE, "more than 8 bits a value (FITS, TIFF, PNG)", "stretched as --sky_limits and --sky_stretch say",
        is_read=True,
    ),
    "alpha": Treatment(NOTE, "transparent in places", "laid over white", is_read=True),
    "palette": Treatment(NOTE, "colours from a palette", "converted to RGB", is_read=True),
    "exif-rotated": Treatment(NOTE, "turned or mirrored by its EXIF orientation", "turned upright", is_read=True),
    "elsewhere": Treatment(
        NOTE, "image outside the class folders, or too deep in one", "left out; see the findings on folders"
    ),
    "other": Treatment(NOTE, "no image, and none by its suffix (a text, a database ...)", "left out by its suffix"),
}  # fmt: skip
GOOD = "good"


def is_lost(kind: str) -> bool:
    """Tell whether a photograph of this kind is one that a run should have but does not.

    Args:
        kind: a key of TREATMENTS, or GOOD.
    """
    return kind in TREATMENTS and TREATMENTS[kind].severity != NOTE and not TREATMENTS[kind].is_read
