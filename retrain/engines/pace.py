"""How long files take to arrive, beside what is then done with them."""

from __future__ import annotations

# Handing a photograph from a reading to an extracting thread costs a few percent of a MobileNet's work on it.
_WORTH_READING_AHEAD = 0.2
# How much the newest file counts.
_NEWEST = 0.1
# Files that are looked at before anything is decided.
_FIRST = 16


class Pace:
    """Running means of reading and extracting; told by several threads, and in no need of being exact."""

    def __init__(self) -> None:
        self._files = 0
        self._reading_s = 0.0
        self._extracting_s = 0.0

    def note(self, reading_s: float, extracting_s: float) -> None:
        """Take one file in.

        Args:
            reading_s: seconds until its bytes were there.
            extracting_s: seconds of everything else.
        """
        share = max(_NEWEST, 1 / (self._files + 1))
        self._files += 1
        self._reading_s += share * (reading_s - self._reading_s)
        self._extracting_s += share * (extracting_s - self._extracting_s)

    def is_slow_to_read(self) -> bool:
        """Say whether threads that only read are worth their cost.

        Returns:
            Whether files take so long to arrive that the extracting threads would often wait for them.
        """
        return self._files >= _FIRST and self._reading_s > _WORTH_READING_AHEAD * self._extracting_s
