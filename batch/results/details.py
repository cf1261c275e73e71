"""The columns `DETAILS` of a results file: what the look saw of each license."""

from __future__ import annotations

import csv
from array import array
from typing import TYPE_CHECKING

from batch.columns import COLUMNS, DETAILS
from batch.formatting import cell, uncell
from batch.results.csv_file import line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


NO_DETAILS = line_of([""] * len(DETAILS))[:-1]
"""The cells of a license of which nothing is known."""

_SHARED = DETAILS.index("type") + 1
"""The first columns of `DETAILS`, in which many licenses are alike: product and type."""

_OWN = slice(len(COLUMNS), len(COLUMNS) + len(DETAILS))


class Details:
    """These cells for each entry of a listing, as they stand in a line.

    They are held in one text, since a million licenses with a few strings each would take a
    gigabyte: 12 bytes for each entry, and about 110 for each license that was seen.

    Args:
        count: Entries.
        redact: Takes secrets out of a text from outside.
    """

    def __init__(self, count: int, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._text = bytearray(b"\n")  # what begins here is that of entries without any
        self._places = array("Q", [0]) * count
        self._heads = [b""]
        self._head_places: dict[Sequence[str], int] = {}
        self._heads_of = array("I", [0]) * count

    def note(self, entry: int, cells: Sequence[str]) -> None:
        """Take down the cells of an entry's license, if any; they replace those that were known."""
        if not cells:
            return
        shared = cells[:_SHARED]
        head = self._head_places.get(shared)
        if head is None:
            head = self._head_places[shared] = len(self._heads)
            self._heads.append(self._line_of([*shared, ""])[:-1])
        self._heads_of[entry] = head
        line = self._line_of(cells[_SHARED:])
        if not self._text.startswith(line, self._places[entry]):
            self._places[entry] = len(self._text)
            self._text += line

    def of(self, entry: int) -> bytes:
        """The cells of an entry as they stand in a line; empty where nothing was noted."""
        start = self._places[entry]
        return self._heads[self._heads_of[entry]] + self._text[start : self._text.index(10, start)]

    def cells(self, entry: int) -> list[str]:
        """The cells of an entry as they were noted; none where nothing was."""
        return [uncell(each) for row in csv.reader([self.of(entry).decode()]) for each in row]

    def _line_of(self, cells: Sequence[str]) -> bytes:
        return line_of([each and cell(self._redact(each)) for each in cells])


def recorded_details(cells: Sequence[str]) -> list[str]:
    """The details in a row of a results file that has them, as a run spells them."""
    found = [cell(uncell(each)) for each in cells[_OWN]]
    return found + [""] * (len(DETAILS) - len(found))
