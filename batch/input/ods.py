"""OpenDocument spreadsheets.

calamine reads no ODS file with white space between its elements, which is how Gnumeric and
SheetJS write it, so it is read here. Source: OASIS OpenDocument 1.3, part 3, chapter 9.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from batch.input.archive import Archive, password_needed
from batch.input.table import (
    DATE,
    ERROR,
    FORMATTED,
    NOT_COMPUTED,
    TIME,
    ZERO,
    Area,
    Contents,
    NotText,
    Row,
    Sheet,
    check_area,
    text_of,
    title_of,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


_NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_OFFICE, _STYLE, _TABLE, _TEXT = (
    _NAMESPACE % name for name in ("office", "style", "table", "text")
)
_STYLE_ELEMENT = f"{_STYLE}style"
_SHEET_PATH = [f"{_OFFICE}spreadsheet", f"{_TABLE}table"]
_GROUP, _ROW = f"{_TABLE}table-row-group", f"{_TABLE}table-row"
_ROW_GROUPS = {_GROUP, f"{_TABLE}table-rows", f"{_TABLE}table-header-rows"}
_COVERED_CELL = f"{_TABLE}covered-table-cell"
_CELLS = {f"{_TABLE}table-cell", _COVERED_CELL}
_ROWS_REPEATED, _COLUMNS_REPEATED = (
    f"{_TABLE}number-rows-repeated",
    f"{_TABLE}number-columns-repeated",
)
_VALUE_TYPE = f"{_OFFICE}value-type"
_VALUE_TYPE_OF_CALC = (
    "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
)
_PARAGRAPH = f"{_TEXT}p"
_MANIFEST = "META-INF/manifest.xml"
_CLOSED = "false"


def ods_sheets(archive: Archive) -> list[Sheet]:
    """The sheets of a workbook, in order.

    Raises:
        InputError: It is damaged or encrypted.
    """
    if _MANIFEST in archive and b"encryption-data" in archive.read(_MANIFEST):
        raise password_needed(archive.title)
    tables: list[_Table] = []
    invisible: set[str] = set()
    path: list[Element] = []
    for event, element in archive.events("content.xml", ("start", "end")):
        if event == "start":
            path.append(element)
            if len(path) == 4 and _is_sheet(path):
                tables.append(_Table(element, archive.title))
            continue
        path.pop()
        if element.tag == _ROW:
            if _is_sheet(path[:4]) and all(outer.tag in _ROW_GROUPS for outer in path[4:]):
                tables[-1].add(element, folded=any(map(_is_folded, path)))
                path[-1].remove(element)
        elif element.tag == _STYLE_ELEMENT:
            properties = element.find(f"{_STYLE}table-properties")
            if properties is not None and properties.get(f"{_TABLE}display") == _CLOSED:
                invisible.add(element.get(f"{_STYLE}name", ""))
    return [Sheet(table.name, table.style not in invisible, table.contents) for table in tables]


def _is_sheet(path: list[Element]) -> bool:
    """Tell whether a path ends at a sheet, and not at the copy of a linked one."""
    return [element.tag for element in path[2:]] == _SHEET_PATH


def _is_folded(element: Element) -> bool:
    return element.tag == _GROUP and element.get(f"{_TABLE}display") == _CLOSED


class _Table:
    """A sheet as it is read, row by row."""

    def __init__(self, element: Element, title: str) -> None:
        self.name = element.get(f"{_TABLE}name", "")
        self.style = element.get(f"{_TABLE}style-name", "")
        self._title = title_of(title, self.name)
        self._rows: list[Row] = []
        self._hidden: list[int] = []
        self._width = 0
        self._height = 0
        self._covered: list[Area] = []

    def add(self, element: Element, *, folded: bool) -> None:
        """Add a row as often as it repeats."""
        times = _count(element, _ROWS_REPEATED)
        numbers = range(self._height + 1, self._height + 1 + times)
        cells = self._cells(element, numbers)
        if cells:
            self._width = max(self._width, len(cells))
            check_area(self._title, self._height + times, self._width)
            self._rows.extend(Row(number, cells) for number in numbers)
            if folded or element.get(f"{_TABLE}visibility", "visible") != "visible":
                self._hidden.extend(numbers)
        self._height += times

    def _cells(self, row: Element, numbers: range) -> list[str]:
        """The cells of a row up to the last one with content; its numbers as often as it is."""
        cells: list[str] = []
        width = 0
        for cell in row:
            if cell.tag not in _CELLS:
                continue
            text = _cell_text(cell)
            times = _count(cell, _COLUMNS_REPEATED)
            if text:
                check_area(self._title, 1, width + times)
                cells += [""] * (width - len(cells)) + [text] * times
                if cell.tag == _COVERED_CELL:
                    self._covered.append(Area(numbers, range(width, width + times)))
            width += times
        return cells

    def contents(self) -> Contents:
        """Return the content of the sheet."""
        return Contents(self._rows, self._width, tuple(self._hidden), tuple(self._covered))


def _count(element: Element, attribute: str) -> int:
    value = element.get(attribute, "1")
    return int(value) if value.isdecimal() else 1


def _cell_text(cell: Element) -> str:
    try:
        return _typed_text(cell)
    except ValueError:
        # A date before the year 1, say: as it is shown.
        return NotText(_shown_text(cell), DATE)


def _typed_text(cell: Element) -> str:
    kind = cell.get(_VALUE_TYPE)
    shown = text = _shown_text(cell)
    if kind in {"float", "currency", "percentage"}:
        text = text_of(float(cell.get(f"{_OFFICE}value", "")))
        if type(text) is str and shown not in {"", text}:
            text = NotText(text, FORMATTED)
        elif text == "0" and f"{_TABLE}formula" in cell.attrib:
            text = NotText(text, ZERO)
    elif kind == "boolean":
        text = text_of(cell.get(f"{_OFFICE}boolean-value") == "true")
    elif kind == "date":
        text = text_of(dt.datetime.fromisoformat(cell.get(f"{_OFFICE}date-value", "")))
    elif kind == "time":
        text = NotText(shown, TIME)
    elif cell.get(_VALUE_TYPE_OF_CALC) == "error":
        text = NotText(shown, ERROR)
    elif not shown and kind is None and f"{_TABLE}formula" in cell.attrib:
        text = NOT_COMPUTED
    return text


def _shown_text(cell: Element) -> str:
    paragraphs = [_paragraph(child) for child in cell if child.tag == _PARAGRAPH]
    return "\n".join(paragraphs) or cell.get(f"{_OFFICE}string-value", "")


def _paragraph(element: Element) -> str:
    """The text of a paragraph: white space counts once, at its start not at all (6.1.2)."""
    text = re.sub(r"[ \t\r\n]+", " ", "".join(_pieces(element))).lstrip(" ")
    return text.translate({0: " ", 1: "\t", 2: "\n"})


def _pieces(element: Element) -> list[str]:
    pieces = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            pieces.append("\0" * _count(child, f"{_TEXT}c"))
        elif child.tag == f"{_TEXT}tab":
            pieces.append("\1")
        elif child.tag == f"{_TEXT}line-break":
            pieces.append("\2")
        elif child.tag not in {f"{_OFFICE}annotation", f"{_TEXT}ruby-text"}:
            pieces += _pieces(child)
        pieces.append(child.tail or "")
    return pieces
