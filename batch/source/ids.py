"""What an ID cell says, and the IDs of a listing as they come."""

from __future__ import annotations

import re
from binascii import unhexlify
from typing import TYPE_CHECKING

from batch.model import ID_BYTES
from batch.source.repeats import first_ids

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection

_CELL = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_LINE_CHARS = 37
_MARKS = ((8, b"-"), (13, b"-"), (18, b"-"), (23, b"-"), (36, b"\n"))

NO_ID = bytes(ID_BYTES)
"""What stands in `Listing.ids` for a cell without an ID."""


def parse_id(cell: str) -> bytes | None:
    """The `ID_BYTES` bytes of a cell with an ID, or None where it holds something else.

    An ID is a UUID in its hyphenated form, in any case; white space around it, no-break
    spaces too, does not matter.
    """
    text = cell.strip()
    if not _CELL.fullmatch(text):
        return None
    return bytes.fromhex(text.replace("-", ""))


def parse_ids(cells: list[str]) -> bytes | None:
    """The IDs of a whole column one after another, or None where any cell needs a closer look.

    A million cells take 0.1 s here, and 1 s one by one.
    """
    lines = "\n".join((*cells, "")).encode("ascii", "replace")
    # Equal lines put the same character at the same place of each: look along those places.
    if len(lines) != _LINE_CHARS * len(cells) or any(
        lines[place::_LINE_CHARS].strip(mark) for place, mark in _MARKS
    ):
        return None
    try:
        ids = unhexlify(lines.translate(None, b"-\n"))
    except ValueError:
        return None
    return ids if len(ids) == ID_BYTES * len(cells) else None


class Ids:
    """IDs as they come, `ID_BYTES` bytes each; `NO_ID` for a cell without."""

    def __init__(self) -> None:
        self._ids = bytearray()

    def add(self, cell: str) -> bool:
        """Take the cell of the next entry; False if it holds no ID."""
        found = parse_id(cell)
        self._ids += found or NO_ID
        return found is not None

    def add_all(self, cells: list[str]) -> bool:
        """Take the cells of the next entries; False, and none is taken, if one needs `add`."""
        found = parse_ids(cells)
        self._ids += found or b""
        return found is not None

    def ids(self) -> bytes:
        """What stands in `Listing.ids`."""
        return bytes(self._ids)

    def keys(self) -> list[str]:
        """What stands in `Listing.keys`: nothing."""
        return []

    def first(self, invalid: Collection[int]) -> array[int]:
        """For each entry the first one with the same ID; `invalid` ones have none."""
        return first_ids(self._ids, invalid)
