"""Excel 97-2003 and Excel 5 workbooks: read by calamine, checked against their own records.

Source: [MS-XLS] 2.1.4 (records) and 2.4 (their contents).
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import olefile

from batch.errors import InputError
from batch.input.archive import damaged, password_needed
from batch.input.calamine import Survey, read_sheet, sheet_names
from batch.input.table import ERRORS, Contents, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator


_STREAMS = ("Workbook", "Book")
_ENCRYPTED = ("EncryptedPackage", "EncryptionInfo")

# Record numbers, [MS-XLS] 2.3.
_FORMULA, _END, _FILE_PASSWORD, _SHEET, _MANY_NUMBERS, _BEGIN = 0x06, 0x0A, 0x2F, 0x85, 0xBD, 0x809
_RICH_LABEL, _SHARED_STRING, _LABEL = 0xD6, 0xFD, 0x204
_NUMBER, _BOOL_OR_ERROR, _SHORT_NUMBER = 0x203, 0x205, 0x27E
_DIMENSIONS, _ROW = 0x200, 0x208

_HIDDEN = 0x20
_LOST = "\N{REPLACEMENT CHARACTER}"
_ROWS, _COLUMNS = 2**16, 2**8


def xls_sheets(handle: BinaryIO, title: str) -> list[Sheet]:
    """The worksheets of a workbook, in order.

    Raises:
        InputError: It is damaged or encrypted.
    """
    stream = _workbook_stream(handle, title)
    found = []
    for kind, data in _records(stream, 0, title):
        if kind == _FILE_PASSWORD:
            raise password_needed(title)
        if kind == _SHEET:
            found.append((int.from_bytes(data[:4], "little"), data[4] & 3, data[5]))
    # Before calamine opens the file: that reads all of its sheets.
    surveys = [_survey(_records(stream, at, title), title) for at, _, _ in found]
    names = sheet_names(handle, title)
    if len(names) != len(found):
        raise damaged(title, f"it lists {len(found)} sheets and has {len(names)}")
    return [
        Sheet(name, state == 0, partial(_read, handle, title, name, survey))
        for name, survey, (_, state, kind) in zip(names, surveys, found, strict=True)
        if kind == 0
    ]


def _read(handle: BinaryIO, title: str, name: str, survey: Survey) -> Contents:
    contents = read_sheet(handle, title, name, survey)
    for row in contents.rows:
        # calamine loses a character of two units (an emoji) where a record breaks between them.
        if any(_LOST in cell for cell in row.cells):
            raise InputError(
                f'{title}, sheet "{name}", row {row.number}: a character could not be read.',
                hint="save the list as xlsx or CSV.",
            )
    return contents


def _workbook_stream(handle: BinaryIO, title: str) -> bytes:
    try:
        with olefile.OleFileIO(handle) as ole:
            if any(ole.exists(name) for name in _ENCRYPTED):
                raise password_needed(title)
            for name in _STREAMS:
                if ole.exists(name):
                    return bytes(ole.openstream(name).read())
    except (OSError, ValueError, IndexError, TypeError, struct.error) as error:
        raise damaged(title, str(error)) from None
    raise InputError(
        f"{title} is an OLE file, but not a workbook.", hint="save the list as xlsx or CSV."
    )


def _records(stream: bytes, at: int, title: str) -> Iterator[tuple[int, bytes]]:
    """Number and contents of each record up to the end of a substream, charts in it left out."""
    depth = 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        data = stream[at + 4 : at + 4 + size]
        at += 4 + size
        if at > len(stream):
            break
        depth += (kind == _BEGIN) - (kind == _END)
        if depth == 0:
            return
        if depth == 1:
            yield kind, data
    raise damaged(title, "it ends within a sheet")


def _survey(records: Iterator[tuple[int, bytes]], title: str) -> Survey:
    survey = Survey()
    rows: dict[int, bool] = {}
    for kind, data in records:
        try:
            if kind == _ROW:
                row, flags = struct.unpack_from("<H10xI", data)
                rows[row + 1] = bool(flags & _HIDDEN)
            elif kind == _DIMENSIONS:
                _check_dimensions(data, title)
            else:
                _survey_cell(survey, kind, data)
        except (struct.error, IndexError):
            raise damaged(title, f"a record of kind {kind:#x} is too short") from None
    # SheetJS writes cells without the rows that would say what is hidden.
    survey.hidden = [row for row in survey.filled if rows.get(row)] if rows else None
    return survey


def _check_dimensions(data: bytes, title: str) -> None:
    # calamine reserves memory for as many cells, and ends the process where it gets none.
    if len(data) >= 14:
        _, rows, _, columns = struct.unpack_from("<IIHH", data)
        if rows > _ROWS or columns > _COLUMNS:
            raise damaged(title, f"a sheet of {rows:,} rows and {columns:,} columns")


def _survey_cell(survey: Survey, kind: int, data: bytes) -> None:
    if kind == _MANY_NUMBERS:
        row, first = struct.unpack_from("<HH", data)
        for column in range(first, first + (len(data) - 6) // 6):
            survey.add(row + 1, column + 1)
    elif kind in {_NUMBER, _SHORT_NUMBER}:
        survey.add(*_place(data))
    elif kind == _BOOL_OR_ERROR:
        survey.add(*_place(data), error=ERRORS.get(data[6], "#ERROR") if data[7] else "")
    elif kind in {_SHARED_STRING, _LABEL, _RICH_LABEL}:
        survey.add(*_place(data), maybe_blank=True)
    elif kind == _FORMULA:
        result = data[6:14]
        is_number = result[6:] != b"\xff\xff"
        if is_number or result[0] == 1:
            survey.add(*_place(data))
        elif result[0] == 0:
            survey.add(*_place(data), maybe_blank=True)
        elif result[0] == 2:
            survey.add(*_place(data), error=ERRORS.get(result[2], "#ERROR"))


def _place(data: bytes) -> tuple[int, int]:
    """Row and column of a cell, counted from 1."""
    row, column = struct.unpack_from("<HH", data)
    return row + 1, column + 1
