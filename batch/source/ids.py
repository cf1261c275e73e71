"""What an ID cell says."""

from __future__ import annotations

import re
from binascii import unhexlify

from batch.model import ID_BYTES

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
