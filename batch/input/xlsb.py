"""Binary Excel workbooks.

calamine skips the short cell records that SheetJS writes, so this is read here.
Source: [MS-XLSB] 2.1.4 (records), 2.4 (their contents) and 2.5 (strings, numbers).
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from batch.input.archive import Archive, damaged
from batch.input.table import (
    FORMATTED,
    ZERO,
    Area,
    Contents,
    NotText,
    Row,
    Sheet,
    Value,
    check_area,
    covered_by,
    error_of,
    shows_digits,
    text_of,
    title_of,
)
from batch.input.xlsx import Parts

if TYPE_CHECKING:
    from collections.abc import Iterator


# Record numbers, [MS-XLSB] 2.3.
_ROW, _SHARED_STRING, _FORMAT, _CELL_FORMAT = 0, 19, 44, 47
_RICH_STRING_CELL, _WORKBOOK_PROPERTIES, _SHEET = 62, 153, 156
_BEGIN_CELL_FORMATS, _END_CELL_FORMATS = 617, 618
_MERGE = 176
_CELLS = range(1, 12)
_SHORT_CELLS = range(12, 19)
_BLANK, _FORMULA_NUMBER = 1, 9
_HIDDEN = 0x10


def xlsb_sheets(archive: Archive, workbook: str) -> list[Sheet]:
    """The worksheets of a workbook, in order.

    Args:
        archive: Its parts.
        workbook: The part that lists its sheets.

    Raises:
        InputError: It is damaged.
    """
    parts = Parts(archive, workbook)
    sheets = []
    since_1904 = False
    with _complete_records(archive.title):
        for kind, data in _records(archive, workbook):
            if kind == _WORKBOOK_PROPERTIES:
                since_1904 = bool(data[0] & 1)
            elif kind == _SHEET:
                relationship, end = _string(data, 8)
                name, _ = _string(data, end)
                if relationship in parts.worksheets:
                    visible = not any(data[:4])
                    sheets.append((name, visible, parts.worksheets[relationship]))
    reader = _Reader(archive, parts, since_1904=since_1904)
    return [
        Sheet(name, visible, partial(reader.read, name, part)) for name, visible, part in sheets
    ]


def _records(archive: Archive, part: str) -> Iterator[tuple[int, bytes]]:
    """Number and contents of each record of a part."""
    data = archive.read(part)
    at = 0
    while at < len(data):
        kind = data[at]
        at += 1
        if kind & 0x80:
            kind = (kind & 0x7F) | data[at] << 7
            at += 1
        size = 0
        for shift in (0, 7, 14, 21):
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        if at + size > len(data):
            raise IndexError(part)
        yield kind, data[at : at + size]
        at += size


@contextmanager
def _complete_records(title: str) -> Iterator[None]:
    try:
        yield
    except (IndexError, struct.error, UnicodeDecodeError):
        raise damaged(title, "a record is cut short") from None


def _string(data: bytes, at: int) -> tuple[str, int]:
    """The string at an offset, and the offset behind it; the null string is empty."""
    (length,) = struct.unpack_from("<I", data, at)
    if length == 0xFFFFFFFF:
        return "", at + 4
    end = at + 4 + 2 * length
    return data[at + 4 : end].decode("utf-16-le"), end


class _Reader:
    """Reads sheets, with the strings and formats that they share."""

    def __init__(self, archive: Archive, parts: Parts, *, since_1904: bool) -> None:
        self._archive = archive
        self._parts = parts
        self._since_1904 = since_1904
        self._strings: list[str] = []
        self._dates: set[int] = set()
        self._odd_formats: set[int] = set()

    def read(self, name: str, part: str) -> Contents:
        """Return the content of a sheet.

        Raises:
            InputError: It is damaged, or spread over too many cells.
        """
        title = title_of(self._archive.title, name)
        with _complete_records(title):
            self._read_shared()
            return self._contents(part, title)

    def _contents(self, part: str, title: str) -> Contents:
        rows: list[Row] = []
        hidden: list[int] = []
        covered: list[Area] = []
        width = 0
        for row, is_hidden in self._rows(part, title, covered):
            if any(row.cells):
                rows.append(row)
                width = max(width, len(row.cells))
                check_area(title, row.number, width)
                if is_hidden:
                    hidden.append(row.number)
        return Contents(rows, width, tuple(hidden), tuple(covered))

    def _read_shared(self) -> None:
        if self._parts.strings:
            self._strings = [
                _string(data, 1)[0]
                for kind, data in _records(self._archive, self._parts.strings)
                if kind == _SHARED_STRING
            ]
        if self._parts.styles:
            formats = _cell_formats(_records(self._archive, self._parts.styles))
            for index, (identifier, code) in enumerate(formats):
                if is_date_format(identifier, code):
                    self._dates.add(index)
                if not shows_digits(identifier, code):
                    self._odd_formats.add(index)

    def _rows(self, part: str, title: str, covered: list[Area]) -> Iterator[tuple[Row, bool]]:
        """The rows of a sheet, blank ones too, and whether each is hidden; notes merged areas."""
        row, is_hidden, column = Row(0, []), False, -1
        for kind, data in _records(self._archive, part):
            if kind == _ROW:
                yield row, is_hidden
                row = Row(int.from_bytes(data[:4], "little") + 1, [])
                is_hidden, column = bool(data[11] & _HIDDEN), -1
            elif kind in _CELLS or kind == _RICH_STRING_CELL:
                column = int.from_bytes(data[:4], "little")
                self._add(row, column, kind, data[4:], title)
            elif kind in _SHORT_CELLS:
                column += 1
                self._add(row, column, kind - _SHORT_CELLS[0] + _BLANK, data, title)
            elif kind == _MERGE:
                covered += covered_by(*struct.unpack_from("<IIII", data))
        yield row, is_hidden

    def _add(self, row: Row, column: int, kind: int, data: bytes, title: str) -> None:
        """Put a cell into its row; its data begins with the number of its format."""
        if kind == _BLANK:
            return
        check_area(title, row.number, column + 1)
        value = self._value(kind, data[4:])
        cell_format = int.from_bytes(data[:3], "little")
        is_number = isinstance(value, float)
        if isinstance(value, float) and cell_format in self._dates:
            value = date_of(value, since_1904=self._since_1904)
        text = text_of(value)
        if is_number and cell_format in self._odd_formats and type(text) is str:
            text = NotText(text, FORMATTED)
        elif kind == _FORMULA_NUMBER and text == "0":
            text = NotText(text, ZERO)
        row.cells.extend([""] * (column + 1 - len(row.cells)))
        row.cells[column] = text

    def _value(self, kind: int, data: bytes) -> Value:
        number = int.from_bytes(data[:4], "little")
        match kind:
            case 2:
                value: Value = _rk_number(number)
            case 3 | 11:
                value = error_of(data[0])
            case 4 | 10:
                value = bool(data[0])
            case 5 | 9:
                value = float(struct.unpack_from("<d", data)[0])
            case 6 | 8:
                value, _ = _string(data, 0)
            case 7:
                value = self._strings[number]
            case _:
                value, _ = _string(data, 1)
        return value


def _rk_number(rk: int) -> float:
    """The number that 30 bits stand for, [MS-XLSB] 2.5.122."""
    if rk & 2:
        number = float((rk >> 2) - (1 << 30 if rk & 0x80000000 else 0))
    else:
        number = float(struct.unpack("<d", struct.pack("<Q", (rk & 0xFFFFFFFC) << 32))[0])
    return number / 100 if rk & 1 else number


def _cell_formats(records: Iterator[tuple[int, bytes]]) -> list[tuple[int, str]]:
    """Number and code of each cell format; the code is empty where the workbook gives none."""
    codes: dict[int, str] = {}
    formats: list[tuple[int, str]] = []
    in_cell_formats = False
    for kind, data in records:
        if kind == _FORMAT:
            codes[int.from_bytes(data[:2], "little")] = _string(data, 2)[0]
        elif kind in {_BEGIN_CELL_FORMATS, _END_CELL_FORMATS}:
            in_cell_formats = kind == _BEGIN_CELL_FORMATS
        elif kind == _CELL_FORMAT and in_cell_formats:
            identifier = int.from_bytes(data[2:4], "little")
            formats.append((identifier, codes.get(identifier, "")))
    return formats


_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NOT_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^]]*\]', re.IGNORECASE)
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_SECONDS = 86_400
_START = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - a cell has no time zone
_START_1904 = dt.datetime(1904, 1, 1)  # noqa: DTZ001
_LEAP_DAY_THAT_NEVER_WAS = 60


def is_date_format(identifier: int, code: str = "") -> bool:
    """Tell whether a number format shows a date or a time.

    Args:
        identifier: Number of the format; some have a meaning without a code.
        code: As the workbook defines it, such as ``yyyy-mm-dd``.
    """
    if code:
        return bool(_DATE_CODE.search(_NOT_CODE.sub("", code.partition(";")[0])))
    return identifier in _BUILT_IN_DATES


def date_of(serial: float, *, since_1904: bool = False) -> Value:
    """The date, or below one day the time, that a number stands for.

    Args:
        serial: Days since the end of 1899, of which 1900-02-29 is one that never was.
        since_1904: Whether the workbook counts from 1904-01-01 instead.

    Returns:
        The number itself where it is no date.
    """
    days, seconds = divmod(round(serial * _SECONDS), _SECONDS)
    if since_1904:
        start = _START_1904
    elif days == 0:
        return (_START + dt.timedelta(seconds=seconds)).time()
    else:
        start = _START + dt.timedelta(days=days < _LEAP_DAY_THAT_NEVER_WAS)
    try:
        return start + dt.timedelta(days=days, seconds=seconds)
    except OverflowError:
        return serial
