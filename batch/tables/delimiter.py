"""Which character separates the cells of a text file."""

from __future__ import annotations

import csv
import re
from collections import Counter

SAMPLE_CHARS = 64 * 1024
"""Characters at the start of a file from which its delimiter is found."""

_BY_PREFERENCE = "\t;|,"
_DEFAULT = ","
_DECLARATION = re.compile(r'"?sep=([,;\t|])"?(?:[\r\n]|$)', re.IGNORECASE)


def declared_delimiter(sample: str) -> str:
    """The delimiter that a first line such as ``sep=;`` names, or empty.

    Spreadsheets obey that line and do not show it: row 1 is the line after it.
    """
    found = _DECLARATION.match(sample)
    return found[1] if found else ""


def find_delimiter(sample: str) -> str:
    """The delimiter that cuts most rows of a sample into the same number of cells.

    A tie goes to the one that is rarer in prose and numbers: ``<id>;3,5`` is cut at the
    semicolon. A comma is returned where nothing cuts.
    """
    lines = sample.splitlines(keepends=True)
    if len(sample) >= SAMPLE_CHARS:
        lines.pop()
    best, agreement = _DEFAULT, 0.0
    for delimiter in _BY_PREFERENCE:
        found = _agreement(lines, delimiter)
        if found > agreement:
            best, agreement = delimiter, found
    return best


def _agreement(lines: list[str], delimiter: str) -> float:
    """Share of the rows that have the commonest width, counting widths of two and more."""
    try:
        rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if any(cells)]
    except csv.Error:
        return 0.0
    widths = Counter(len(cells) for cells in rows if len(cells) > 1)
    if not widths or _cuts_through_quotes(rows):
        return 0.0
    return max(widths.values()) / len(rows)


def _cuts_through_quotes(rows: list[list[str]]) -> bool:
    """Whether a cell ends in a quote that another cell, cut off from it, must have opened."""
    return any(cell.count('"') % 2 and cell.endswith('"') for cells in rows for cell in cells)
