"""Cells, columns and rows as a refusal shows them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from batch.errors import Detail

if TYPE_CHECKING:
    from collections.abc import Sequence


SHOWN_CHARS = 300
"""Characters of a cell that a message shows."""

SHOWN_ROWS = 10
"""Rows that a message names."""

SHOWN_COLUMNS = 40
"""Columns that a message names."""


def shown(cell: str) -> str:
    """A cell as a message shows it: cut, and invisible characters by their code point."""
    cut = cell[:SHOWN_CHARS]
    inner = "".join(char if _is_visible(char) else f"<U+{ord(char):04X}>" for char in cut)
    return f"{inner}…" if len(cell) > SHOWN_CHARS else inner


def spelled(cell: str) -> str:
    """A cell in ASCII: any other character may look like one of these, and shows its code."""
    inner = "".join(c if " " <= c <= "~" else f"<U+{ord(c):04X}>" for c in cell[:SHOWN_CHARS])
    return f"{inner}…" if len(cell) > SHOWN_CHARS else inner


def _is_visible(char: str) -> bool:
    # Z: separators, C: control, format (zero-width ...), surrogate, private, unassigned.
    return char == " " or unicodedata.category(char)[0] not in "ZC"


def shown_columns(cells: Sequence[str]) -> str:
    """The columns that were seen; several without a name at the end are counted."""
    names = [shown(cell.strip()) for cell in cells]
    named = next((at for at in range(len(names), 0, -1) if names[at - 1]), 0)
    nameless = len(names) - named
    if nameless > 1:
        names[named:] = [f"{nameless:,} without a name"]
    return _listed([name or "(no name)" for name in names], SHOWN_COLUMNS)


def columns_seen(cells: Sequence[str], where: str = "") -> Detail:
    """The line of a refusal that shows the columns."""
    return Detail(f"Columns seen{where}: ", f"{shown_columns(cells)}.")


def shown_rows(rows: Sequence[int]) -> str:
    """The first row numbers of many."""
    return _listed([str(row) for row in rows], SHOWN_ROWS)


def _listed(items: list[str], most: int) -> str:
    return ", ".join(items[:most] + ["…"] * (len(items) > most))
