"""Excel workbooks (xlsx, xlsm): read by calamine, checked against the sheet's own XML.

Source: ECMA-376 part 1, 18.2 (workbook), 18.3 (worksheet), 18.4 (shared strings).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from batch.tables.archive import damaged, local_name
from batch.tables.calamine import Survey, read_sheet
from batch.tables.parts import Parts
from batch.tables.sheets import Contents, Sheet, not_computed

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from batch.tables.archive import Archive

_WORKBOOK = "xl/workbook.xml"
_TRUE = ("1", "true")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


def xlsx_sheets(archive: Archive, handle: BinaryIO) -> list[Sheet]:
    """The worksheets of a workbook, in order.

    Raises:
        InputError: It is damaged.
    """
    parts = Parts(archive, _WORKBOOK)
    sheets = []
    for element in archive.elements(_WORKBOOK):
        if local_name(element.tag) == "sheet":
            attributes = {local_name(name): value for name, value in element.attrib.items()}
            part = parts.worksheets.get(attributes.get("id", ""))
            if part:
                name = attributes.get("name", "")
                visible = attributes.get("state", "visible") == "visible"
                read = partial(_read, archive, handle, name, part, parts.strings)
                sheets.append(Sheet(name, visible, read))
    return sheets


def _read(archive: Archive, handle: BinaryIO, name: str, part: str, strings: str) -> Contents:
    title = f'{archive.title}, sheet "{name}"'
    survey = _survey(archive, part, _blank_strings(archive, strings), title)
    return read_sheet(handle, archive.title, name, survey)


def _blank_strings(archive: Archive, part: str) -> set[str]:
    """Indexes of the shared strings that hold white space at most."""
    blank = set()
    index = 0
    if part:
        for element in archive.elements(part):
            if element.tag.endswith("}si"):
                if not _has_text(element):
                    blank.add(str(index))
                index += 1
                element.clear()
    return blank


def _has_text(string: Element) -> bool:
    return any(
        local_name(element.tag) == "t" and (element.text or "").strip() for element in string.iter()
    )


def _survey(archive: Archive, part: str, blank_strings: set[str], title: str) -> Survey:
    survey = Survey()
    hidden = []
    number = 0
    hidden_by_default = False
    for element in archive.elements(part):
        if element.tag.endswith("}sheetFormatPr"):
            hidden_by_default = element.get("zeroHeight") in _TRUE
        elif element.tag.endswith("}row"):
            number = _number(element.get("r"), number, archive.title)
            _survey_row(survey, element, number, blank_strings, title)
            if number in survey.filled and _is_hidden(element, hidden_by_default):
                hidden.append(number)
            element.clear()
    survey.hidden = hidden
    return survey


def _number(reference: str | None, previous: int, title: str) -> int:
    if reference is None:
        return previous + 1
    if not reference.isdecimal():
        raise damaged(title, f"a row is numbered {reference!r}")
    return int(reference)


def _is_hidden(row: Element, hidden_by_default: bool) -> bool:
    height = row.get("ht")
    if height is None:
        return row.get("hidden", "1" if hidden_by_default else "0") in _TRUE
    return row.get("hidden") in _TRUE or not height.strip("0.")


def _survey_row(
    survey: Survey, row: Element, number: int, blank_strings: set[str], title: str
) -> None:
    column = 0
    for cell in row:
        if local_name(cell.tag) != "c":
            continue
        column = _column(cell.get("r"), column, title)
        children = {local_name(child.tag): child for child in cell}
        value = children["v"].text if "v" in children else None
        kind = cell.get("t")
        if kind == "inlineStr":
            filled = "is" in children and _has_text(children["is"])
        elif kind == "s":
            filled = value is not None and value.strip() not in blank_strings
        else:
            filled = bool(value and value.strip())
            if "f" in children and not filled and kind != "str":
                raise not_computed(title, number)
        if filled:
            survey.add(number, column, error=(value or "") if kind == "e" else "")


def _column(reference: str | None, previous: int, title: str) -> int:
    """The number of a cell's column, counted from 1."""
    if reference is None:
        return previous + 1
    found = _REFERENCE.fullmatch(reference)
    if not found:
        raise damaged(title, f"a cell is at {reference!r}")
    column = 0
    for letter in found[1]:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column
