"""The content of a file once its format no longer matters: rows of text."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator


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
    """Tell whether a row has no content: white space is none."""
    return not any(cell.strip() for cell in cells)


BLOCK_ROWS = 16_384
"""Rows in a block of a workbook."""

ROW_LIMIT, COLUMN_LIMIT = 2**20, 2**14
"""Most rows and columns of a sheet ("Excel specifications and limits")."""

AREA_LIMIT = 2**24
"""Most cells, empty ones included, that a table may cover: a million rows of 16 columns."""

Value = str | bool | int | float | dt.datetime | dt.date | dt.time | dt.timedelta


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a sheet.

    Attributes:
        rows: The rows with content, in order; each at most `width` cells wide.
        width: Columns up to the last one with content, counted from the sheet's first.
        hidden: Numbers of the hidden or filtered rows with content, in order; None where the
            file does not say which rows are hidden.
    """

    rows: Iterable[Row]
    width: int
    hidden: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Columns:
    """The content of a sheet of very many rows: a million `Row` would cost more than reading them.

    Attributes:
        blocks: All rows from the first one to the last one with content, in order; cells of
            blank rows are empty. To be read once; raises `InputError` where the sheet cannot
            be read in full.
        width: Columns up to the last one with content, counted from the sheet's first.
        hidden: As in `Contents`.
    """

    blocks: Iterator[Block]
    width: int
    hidden: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A worksheet that can be read.

    Attributes:
        name: As its tab shows it.
        visible: Whether its tab is shown.
        read: Reads it; raises `InputError` where that cannot be done in full.
    """

    name: str
    visible: bool
    read: Callable[[], Contents | Columns]


def rows_of(blocks: Iterable[Block]) -> Iterator[Row]:
    """The rows with content."""
    for block in blocks:
        for number, row in enumerate(zip(*block.columns, strict=True), block.row):
            cells = list(row)
            if not is_blank(cells):
                yield Row(number, cells)


def text_of(value: Value) -> str:
    """The text of a cell: whole numbers without a fraction, dates in ISO 8601."""
    match value:
        case str():
            return value
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)


def check_area(title: str, rows: int, columns: int) -> None:
    """Refuse a table that would take too much memory.

    Raises:
        InputError: It is larger than a sheet can be, or covers more than `AREA_LIMIT` cells.
    """
    if rows > ROW_LIMIT or columns > COLUMN_LIMIT or rows * columns > AREA_LIMIT:
        raise InputError(
            f"{title}: its cells are spread over {rows:,} rows and {columns:,} columns.",
            hint="delete what stands far away from the list, or save the list as CSV.",
        )


def not_computed(title: str, row: int) -> InputError:
    """The refusal of a formula whose result the file does not hold."""
    return InputError(
        f"{title}, row {row}: a formula without its result.",
        hint="open and save the file in a spreadsheet program, which computes it.",
    )


# Source: [MS-XLS] 2.5.10, BErr.
ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}
"""Error code to what a spreadsheet shows."""
