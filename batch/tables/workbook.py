"""Workbooks: which sheet is meant, and its rows in blocks."""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError
from batch.tables.archive import Archive, damaged
from batch.tables.ods import ods_sheets
from batch.tables.stored import OLE, TEXT, ZIP
from batch.tables.table import CELL_LIMIT, HEAD_ROWS, Block, Row, Table, block_of, is_blank
from batch.tables.xls import xls_sheets
from batch.tables.xlsb import xlsb_sheets
from batch.tables.xlsx import xlsx_sheets

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from batch.tables.sheets import Sheet

_BLOCK_ROWS = 16_384
_HIDDEN_UNKNOWN = "the file does not say which rows are hidden; all were taken."
_AS_XLSX = "open it in a spreadsheet program and save it as xlsx, or as CSV."


def read_workbook(
    handle: BinaryIO, title: str, sha256: str, content: str, wanted: str | None
) -> Table:
    """The rows of one sheet.

    Args:
        handle: The workbook.
        title: The file, for messages.
        sha256: Hex digest of the file.
        content: What its first bytes say it is.
        wanted: Name of the sheet, else its number among all worksheets, counted from 1;
            None for the first visible one.

    Raises:
        InputError: It is no workbook, there is no such sheet, or not all of it can be read.
    """
    sheet = _chosen(_sheets(handle, title, content), wanted, title)
    title = f'{title}, sheet "{sheet.name}"'
    contents = sheet.read()
    rows = _checked(contents.rows, title)
    head = list(islice(rows, HEAD_ROWS))
    width = max(contents.width, 1)
    padded = [Row(row.number, row.cells + [""] * (width - len(row.cells))) for row in head]
    return Table(
        title=title,
        sha256=sha256,
        head=padded,
        blocks=_blocks(chain(head, rows), width),
        hidden=contents.hidden or (),
        warnings=() if contents.hidden is not None else (f"{title}: {_HIDDEN_UNKNOWN}",),
    )


def _sheets(handle: BinaryIO, title: str, content: str) -> list[Sheet]:
    if content == OLE:
        return xls_sheets(handle, title)
    if content == ZIP:
        archive = Archive(handle, title)
        if "xl/workbook.xml" in archive:
            return xlsx_sheets(archive, handle)
        if "xl/workbook.bin" in archive:
            return xlsb_sheets(archive)
        if "content.xml" in archive:
            return ods_sheets(archive)
        raise InputError(f"{title} is a zip archive, but not a workbook.", hint=_AS_XLSX)
    if content == TEXT:
        raise InputError(
            f"{title} is not a workbook: by its content it is {TEXT}.",
            hint="if it is CSV, give it the ending .csv.",
        )
    raise InputError(f"{title} is not a workbook: by its content it is {content}.", hint=_AS_XLSX)


def _chosen(sheets: list[Sheet], wanted: str | None, title: str) -> Sheet:
    names = ", ".join(f'"{sheet.name}"' for sheet in sheets) or "none"
    if wanted is None:
        for sheet in sheets:
            if sheet.visible:
                return sheet
        raise InputError(
            f"{title} has no visible sheet. Sheets: {names}.", hint="name one with --sheet."
        )
    for sheet in sheets:
        if sheet.name == wanted:
            return sheet
    if wanted.isdecimal() and 1 <= int(wanted) <= len(sheets):
        return sheets[int(wanted) - 1]
    raise InputError(
        f'{title} has no sheet "{wanted}". Sheets: {names}.', hint="name one of these with --sheet."
    )


def _checked(rows: Iterable[Row], title: str) -> Iterator[Row]:
    previous = 0
    for row in rows:
        if row.number <= previous:
            raise damaged(title, f"row {row.number} follows row {previous}")
        previous = row.number
        if any(len(cell) > CELL_LIMIT for cell in row.cells):
            raise InputError(
                f"{title}, row {row.number:,}: a cell is longer than {CELL_LIMIT:,} characters.",
                hint="shorten it.",
            )
        if not is_blank(row.cells):
            yield row


def _blocks(rows: Iterable[Row], width: int) -> Generator[Block]:
    cells = _without_gaps(rows, width)
    start = 1
    while block := list(islice(cells, _BLOCK_ROWS)):
        yield block_of(start, block)
        start += len(block)


def _without_gaps(rows: Iterable[Row], width: int) -> Iterator[list[str]]:
    """The cells of all rows from row 1 on, blank ones included."""
    blank = [""] * width
    following = 1
    for row in rows:
        yield from repeat(blank, row.number - following)
        yield row.cells + blank[len(row.cells) :]
        following = row.number + 1
