"""Reads the tables of a flatbuffer: the few lines that are needed of it, as the generated classes take 20 ms to import.

A table begins with the distance to its vtable, which says where each field lies. Nothing is believed: every place is
looked up within the bytes, and a wrong one is a ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# In one list that is not bytes: a small file could ask for the same long list over and over.
MAX_ITEMS = 20_000


@dataclass(frozen=True)
class Table:
    """A table of a flatbuffer.

    Args:
        data: the whole file; not trusted.
        at: where the table begins.
    """

    data: bytes
    at: int

    def tables(self, field: int) -> Iterator[Table]:
        """Follow a field to a list of tables."""
        for place in self._items(field, 4):
            yield Table(self.data, place + _number("<I", self.data, place))

    def integers(self, field: int, form: str = "<i") -> list[int]:
        """Read a list of integers, by default of 32 bits."""
        return [_number(form, self.data, place) for place in self._items(field, struct.calcsize(form))]

    def integer(self, field: int, form: str, default: int = 0) -> int:
        """Read an integer of a field."""
        place = self._place(field)
        return _number(form, self.data, place) if place else default

    def bytes(self, field: int) -> bytes:
        """Read a text, or a list of bytes."""
        places = self._items(field, 1)
        return self.data[places.start : places.stop]

    def length(self, field: int) -> int:
        """Say how long a list is."""
        return len(self._items(field, 1))

    def _place(self, field: int) -> int:
        vtable = self.at - _number("<i", self.data, self.at)
        entry = 4 + 2 * field
        offset = _number("<H", self.data, vtable + entry) if entry < _number("<H", self.data, vtable) else 0
        return self.at + offset if offset else 0

    def _items(self, field: int, size: int) -> range:
        place = self._place(field)
        if not place:
            return range(0)
        start = place + _number("<I", self.data, place)
        count = _number("<I", self.data, start)
        if start + 4 + count * size > len(self.data):
            raise ValueError(f"a list of {count} at {start} goes past the end")
        if size > 1 and count > MAX_ITEMS:
            raise ValueError(f"a list of {count} at {start}, at most {MAX_ITEMS} are read")
        return range(start + 4, start + 4 + count * size, size)


def root(data: bytes) -> Table:
    """Give the table that a flatbuffer begins with.

    Args:
        data: the file.

    Returns:
        The table; what is wrong with it is a ValueError when it is read.
    """
    return Table(data, _number("<I", data, 0))


def _number(form: str, data: bytes, at: int) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(form):
        raise ValueError(f"it names the place {at} of {len(data)} bytes")
    value: int = struct.unpack_from(form, data, at)[0]
    return value
