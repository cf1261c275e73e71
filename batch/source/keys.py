"""What a key cell says, and the keys of a listing as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.source.ids import NO_ID
from batch.source.repeats import first_keys
from batch.text import escaped

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection

LONGEST_KEY = 1000
"""Most characters of a key: it has to fit into a URL."""


def parse_key(cell: str) -> str:
    """The key in a cell exactly as written, or empty where it holds none.

    White space around a key, no-break spaces too, does not count. Text with control characters or
    line breaks, or longer than `LONGEST_KEY` characters, is no key.
    """
    key = cell.strip()
    return key if len(key) <= LONGEST_KEY and escaped(key) == key else ""


class Keys:
    """Keys as they come; an empty one for a cell without."""

    def __init__(self) -> None:
        self._keys: list[str] = []

    def add(self, cell: str) -> bool:
        """Take the cell of the next entry; False if it holds no key."""
        key = parse_key(cell)
        self._keys.append(key)
        return bool(key)

    def add_all(self, cells: list[str]) -> bool:
        """Take the cells of the next entries; False, and none is taken, if one needs `add`."""
        keys = [parse_key(cell) for cell in cells]
        if not all(keys):
            return False
        self._keys += keys
        return True

    def ids(self) -> bytes:
        """What stands in `Listing.ids`: that none is known yet."""
        return NO_ID * len(self._keys)

    def keys(self) -> list[str]:
        """What stands in `Listing.keys`."""
        return self._keys

    def first(self, invalid: Collection[int]) -> array[int]:
        """For each entry the first one with the same key; `invalid` ones have none."""
        return first_keys(self._keys, invalid)
