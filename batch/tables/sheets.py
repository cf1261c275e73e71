"""What every kind of workbook is reduced to: sheets, and rows with content."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.errors import InputError
from batch.tables.table import Row, is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from batch.tables.table import Block

BLOCK_ROWS = 16_384
"""Rows in a block of a workbook."""

ROW_LIMIT, COLUMN_LIMIT = 2**20, 2**14
"""Most rows and columns of a sheet ("Excel specifications and limits")."""

AREA_LIMIT = 2**24
"""Most cells, empty ones included, that a table may cover: a million rows of 16 columns."""

Value = str | bool | int | float | dt.datetime | dt.date | dt.time | dt.timedelta


@dataclass(frozen=True, slots=True)
class Contents:
    """What a sheet holds.

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
    """What a sheet of very many rows holds: a million `Row` would cost more than reading them.

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
