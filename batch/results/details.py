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

_OWN = slice(len(COLUMNS), len(COLUMNS) + len(DETAILS))


class Details:
    """These cells for each entry of a listing, as they stand in a line.

    One text holds all of them, since a million licenses with a few strings each would take a
    gigabyte: 8 bytes for each entry, and about 150 for each license that was seen.

    Args:
        count: Entries.
        redact: Takes secrets out of a text from outside.
    """

    def __init__(self, count: int, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._text = bytearray(b"\n")
        self._places = array("Q", [0]) * count

    def note(self, entry: int, cells: Sequence[str]) -> None:
        """Take down the cells of an entry's license; they replace those that were known."""
        line = line_of([each and cell(self._redact(each)) for each in cells])
        if not self._text.startswith(line, self._places[entry]):
            self._places[entry] = len(self._text)
            self._text += line

    def of(self, entry: int) -> bytes:
        """The cells of an entry as they stand in a line; empty where nothing was noted."""
        start = self._places[entry]
        return bytes(self._text[start : self._text.index(b"\n", start)])

    def cells(self, entry: int) -> list[str]:
        """The cells of an entry as they were noted; none where nothing was."""
        return [uncell(each) for row in csv.reader([self.of(entry).decode()]) for each in row]


def recorded_details(cells: Sequence[str]) -> list[str]:
    """The details in a row of a results file that has them, as a run spells them."""
    found = [cell(uncell(each)) for each in cells[_OWN]]
    return found + [""] * (len(DETAILS) - len(found))


def has_details(header: Sequence[str], carried: int) -> bool:
    """Tell whether the file of a run has these columns.

    Args:
        header: Its header.
        carried: Columns that the run carries, which may have the same names.
    """
    return tuple(header[_OWN]) == DETAILS and len(header) >= _OWN.stop + carried
