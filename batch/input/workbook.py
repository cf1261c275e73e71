"""Workbooks: which sheet is meant, and its rows in blocks."""

from __future__ import annotations

from itertools import islice, repeat
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError
from batch.input.archive import Archive, damaged
from batch.input.file import OLE, TEXT, ZIP
from batch.input.ods import ods_sheets
from batch.input.table import (
    BLOCK_ROWS,
    CELL_LIMIT,
    HEAD_ROWS,
    Block,
    Contents,
    Row,
    Sheet,
    Table,
    block_of,
    is_blank,
    rows_of,
    title_of,
)
from batch.input.xls import xls_sheets
from batch.input.xlsb import xlsb_sheets
from batch.input.xlsx import workbook_part, xlsx_sheets

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator


_HIDDEN_UNKNOWN = "the file does not say which rows are hidden; all were taken."
_AS_XLSX = "open it in a spreadsheet program and save it as xlsx, or as CSV."


def read_sheet(sheet: Sheet, title: str, sha256: str) -> Table:
    """The rows of one sheet.

    Args:
        sheet: The sheet.
        title: The file, for messages.
        sha256: Hex digest of the file.

    Raises:
        InputError: Not all of it can be read; also while blocks are read.
    """
    title = title_of(title, sheet.name)
    contents = sheet.read()
    if isinstance(contents, Contents):
        blocks = _blocks(contents.rows, max(contents.width, 1), title)
    else:
        blocks = contents.blocks
    checked = _checked(blocks, title)
    seen: list[Block] = []
    head = list(islice(rows_of(_noted(checked, seen)), HEAD_ROWS))
    return Table(
        title=title,
        sha256=sha256,
        head=head,
        blocks=_from_start(seen, checked),
        hidden=contents.hidden or (),
        covered=contents.covered,
        warnings=() if contents.hidden is not None else (f"{title}: {_HIDDEN_UNKNOWN}",),
    )


def sheets_of(handle: BinaryIO, title: str, content: str) -> list[Sheet]:
    """The worksheets of a workbook, in order.

    Args:
        handle: The workbook.
        title: The file, for messages.
        content: What its first bytes say it is.

    Raises:
        InputError: It is no workbook, damaged or encrypted.
    """
    if content == OLE:
        return xls_sheets(handle, title)
    if content == ZIP:
        archive = Archive(handle, title)
        workbook = workbook_part(archive)
        if workbook and not workbook.lower().endswith(".bin"):
            return xlsx_sheets(archive, handle, workbook)
        archive.prove()
        if workbook:
            return xlsb_sheets(archive, workbook)
        if "content.xml" in archive:
            return ods_sheets(archive)
        raise InputError(f"{title} is a zip archive, but not a workbook.", hint=_AS_XLSX)
    if content == TEXT:
        raise InputError(
            f"{title} is not a workbook: by its content it is {TEXT}.",
            hint="if it is CSV, give it the ending .csv.",
        )
    raise InputError(f"{title} is not a workbook: by its content it is {content}.", hint=_AS_XLSX)


def _noted(blocks: Iterable[Block], seen: list[Block]) -> Iterator[Block]:
    for block in blocks:
        seen.append(block)
        yield block


def _from_start(seen: list[Block], rest: Iterable[Block]) -> Generator[Block]:
    yield from seen
    yield from rest


def _checked(blocks: Iterable[Block], title: str) -> Iterator[Block]:
    for block in blocks:
        for column in block.columns:
            if max(map(len, column)) > CELL_LIMIT:
                index = next(i for i, cell in enumerate(column) if len(cell) > CELL_LIMIT)
                raise InputError(
                    f"{title}, row {block.row + index:,}: a cell is longer than"
                    f" {CELL_LIMIT:,} characters.",
                    hint="shorten it.",
                )
        yield block


def _blocks(rows: Iterable[Row], width: int, title: str) -> Iterator[Block]:
    cells = _without_gaps(rows, width, title)
    start = 1
    while block := list(islice(cells, BLOCK_ROWS)):
        yield block_of(start, block)
        start += len(block)


def _without_gaps(rows: Iterable[Row], width: int, title: str) -> Iterator[list[str]]:
    """The cells of all rows from row 1 to the last one with content."""
    blank = [""] * width
    previous = yielded = 0
    for row in rows:
        if row.number <= previous:
            raise damaged(title, f"row {row.number} follows row {previous}")
        previous = row.number
        if not is_blank(row.cells):
            yield from repeat(blank, row.number - yielded - 1)
            yield row.cells + blank[len(row.cells) :]
            yielded = row.number
