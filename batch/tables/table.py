"""What a file holds once its format no longer matters: rows of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

CELL_LIMIT = 32_767
"""Most characters in a cell: what a spreadsheet can hold.

Source: "Excel specifications and limits", https://support.microsoft.com/office.
"""

SIZE_LIMIT = 512 * 1024 * 1024
"""Most bytes of an input once inflated."""

HEAD_ROWS = 20
"""Rows with content in `Table.head`: enough to see a title above the header."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row with content.

    Attributes:
        number: As a spreadsheet shows it, counted from 1.
        cells: As many as the file gives for this row; in a workbook, as the sheet is wide.
    """

    number: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, blank ones included, held column by column.

    Attributes:
        row: Number of the first row, counted from 1.
        columns: The cells of each column, at least one; all of the same length. A cell that
            the file does not give is empty.
    """

    row: int
    columns: list[list[str]]

    def __len__(self) -> int:
        """Rows in this block."""
        return len(self.columns[0])

    def since(self, row: int) -> Block:
        """The rows from number `row` on; all of them if it is above this block."""
        skipped = max(0, row - self.row)
        if not skipped:
            return self
        return Block(self.row + skipped, [column[skipped:] for column in self.columns])


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a text file, or of one sheet of a workbook.

    Attributes:
        title: File and sheet, for messages.
        sha256: Hex digest of the bytes as they are stored.
        head: The first rows with content, at most `HEAD_ROWS`.
        blocks: All rows from the first one on, in order; to be read once.
        hidden: Numbers of the hidden or filtered rows with content.
        warnings: What the user should know, a sentence each.
    """

    title: str
    sha256: str
    head: list[Row]
    blocks: Generator[Block]
    hidden: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


def block_of(row: int, rows: list[list[str]]) -> Block:
    """A block of the rows from number `row` on, each filled up to the widest of them."""
    width = max(map(len, rows))
    padded = (cells + [""] * (width - len(cells)) for cells in rows)
    return Block(row, [list(column) for column in zip(*padded, strict=True)])


def is_blank(cells: list[str]) -> bool:
    """Whether a row has no content: white space is none."""
    return not any(cell.strip() for cell in cells)
