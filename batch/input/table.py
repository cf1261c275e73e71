"""The content of a file once its format no longer matters: rows of text."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Self

from batch.errors import InputError
from batch.formatting import counted, plain
from batch.input.messages import shown_rows

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


class NotText(str):
    """The text of a cell that is no text, and that need not say what somebody meant by it.

    So a key must not be taken from it: a spreadsheet has made a date of it, or has kept 15 digits.
    A whole number of at most 15 digits stands for its digits, and is a plain `str`.

    Attributes:
        kind: What it is, for a message.
    """

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, text: str, kind: str) -> Self:
        """Make one of a text."""
        cell = super().__new__(cls, text)
        cell.kind = kind
        return cell


NUMBER, FORMATTED = "a number", "a number that is shown in another way"
DATE, TIME, BOOLEAN, ERROR = "a date", "a time", "a boolean", "an error"
NOT_COMPUTED = NotText("#NOT COMPUTED", "a formula without its result")
"""The cell of a formula that no program has computed yet."""
ZERO = "a formula with the result 0"
"""A result that programs store which compute no formulas: xlsxwriter, Perl's, Apache POI."""


def title_of(file: str, sheet: str) -> str:
    """A worksheet, for messages. Its name is a text from outside like that of a cell."""
    return f'{file}, sheet "{plain(sheet)}"'


class Area(NamedTuple):
    """Cells side by side.

    Attributes:
        rows: Their row numbers, counted from 1.
        columns: Indexes of their columns, counted from 0.
    """

    rows: range
    columns: range


def covered_by(top: int, bottom: int, left: int, right: int) -> list[Area]:
    """The cells that a merged area covers: all but the first one.

    Args:
        top: Its first row, counted from 0.
        bottom: Its last row.
        left: Its first column, counted from 0.
        right: Its last column.
    """
    return [
        Area(range(top + 1, top + 2), range(left + 1, right + 1)),
        Area(range(top + 2, bottom + 2), range(left, right + 1)),
    ]


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
        covered: Areas whose cells nobody sees, since others are merged over them.
        warnings: What the user should know, a sentence each.
    """

    title: str
    sha256: str
    head: list[Row]
    blocks: Generator[Block]
    hidden: tuple[int, ...] = ()
    covered: tuple[Area, ...] = ()
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
        covered: Areas whose cells nobody sees, since others are merged over them.
    """

    rows: Iterable[Row]
    width: int
    hidden: tuple[int, ...] | None
    covered: tuple[Area, ...] = ()


@dataclass(frozen=True, slots=True)
class Columns:
    """The content of a sheet of very many rows: a million `Row` would cost more than reading them.

    Attributes:
        blocks: All rows from the first one to the last one with content, in order; cells of
            blank rows are empty. To be read once; raises `InputError` where the sheet cannot
            be read in full.
        width: Columns up to the last one with content, counted from the sheet's first.
        hidden: As in `Contents`.
        covered: As in `Contents`.
    """

    blocks: Iterator[Block]
    width: int
    hidden: tuple[int, ...] | None
    covered: tuple[Area, ...] = ()


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


_EXACT = 10**15
"""Whole numbers below keep all of their digits ("Excel specifications and limits")."""


def text_of(value: Value) -> str:
    """The text of a cell: whole numbers without a fraction, dates in ISO 8601."""
    match value:
        case str():
            return value
        case bool():
            text, kind = "TRUE" if value else "FALSE", BOOLEAN
        case int() | float() if -_EXACT < value < _EXACT and value == int(value):
            text, kind = str(int(value)), NUMBER
            if value >= 0:
                return text
        case int() | float():
            text, kind = str(value), NUMBER
        case dt.datetime() if value.time() == dt.time():
            text, kind = value.date().isoformat(), DATE
        case dt.date():
            text, kind = value.isoformat(), DATE
        case dt.time():
            text, kind = value.isoformat(), TIME
        case _:
            text, kind = str(value), TIME
    return NotText(text, kind)


def in_digits(cell: str) -> str:
    """The text of a cell, of a number without exponent."""
    if not isinstance(cell, NotText) or cell.kind != NUMBER:
        return cell
    return format(Decimal(cell), "f").removesuffix(".0")


_DECORATION = re.compile(r"_.|\[(?:[a-z]+ ?[0-9]*|\$-[0-9a-f]+)\]", re.IGNORECASE)
_DIGITS = re.compile(r"general|#*0|@", re.IGNORECASE)


def shows_digits(identifier: int, code: str = "") -> bool:
    """Tell whether a number format shows a whole number by its digits and nothing else.

    Args:
        identifier: Number of the format; some have a meaning without a code.
        code: As the workbook defines it, such as ``00000``; its parts are for what is above zero,
            below, and zero.
    """
    if not code:
        return identifier in {0, 1, 49}
    return all(_DIGITS.fullmatch(_DECORATION.sub("", part)) for part in code.split(";")[:3:2])


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


def refuse_hidden(table: Table, hint: str) -> None:
    """Refuse a table in which somebody may not have seen all rows.

    Args:
        table: Where it is known which rows are hidden.
        hint: What to do about them.

    Raises:
        InputError: Rows with content are hidden or filtered.
    """
    if table.hidden:
        verb = "is" if len(table.hidden) == 1 else "are"
        raise InputError(
            f"{table.title}: {counted(len(table.hidden), 'row')} with content {verb} hidden or"
            f" filtered: {shown_rows(table.hidden)}.",
            hint=hint,
        )


# Source: [MS-XLS] 2.5.10, Bes.
_ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}


def error_of(code: int) -> NotText:
    """The cell of an error, as a spreadsheet shows it."""
    return NotText(_ERRORS.get(code, "#ERROR"), ERROR)
