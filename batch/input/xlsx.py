"""Excel workbooks (xlsx, xlsm): read by calamine, checked against the sheet's own XML.

Source: ECMA-376 part 1, 18.2 (workbook), 18.3 (worksheet), 18.4 (shared strings).
"""

from __future__ import annotations

import posixpath
import re
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from batch.input.archive import Archive, damaged, local_name
from batch.input.calamine import Survey, read_columns
from batch.input.plain import PlainRows, plain_string
from batch.input.table import Columns, Sheet, not_computed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element


_WORKBOOK = "xl/workbook.xml"
_TRUE = ("1", "true")
_MOST_ATTRIBUTES = 10_000
"""Texts of a row's attributes that are kept."""

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


def _read(archive: Archive, handle: BinaryIO, name: str, part: str, strings: str) -> Columns:
    title = f'{archive.title}, sheet "{name}"'
    survey = _survey(archive, part, _blank_strings(archive, strings), title)
    archive.prove()
    return read_columns(handle, archive.title, name, survey)


def _blank_strings(archive: Archive, part: str) -> set[str]:
    """Indexes of the shared strings that hold white space at most."""
    strings = _Strings()
    if part:
        archive.skim(part, strings)
    return strings.blank


class _Strings:
    """Finds the blank ones among the shared strings.

    The first one is left to the parser, which says whether its name is one of a namespace.
    """

    name = "si"

    def __init__(self) -> None:
        self.blank: set[str] = set()
        self._index = 0
        self._plain = re.compile("(?!)")

    def begin(self, prefix: str, gap: str) -> None:
        self._plain = plain_string(prefix, gap)

    def skip(self, text: str, at: int) -> int:
        if not self._index:
            return at
        match = self._plain.match
        while found := match(text, at):
            self._index += 1
            at = found.end()
        return at

    def take(self, element: Element) -> None:
        if element.tag.endswith("}si"):
            if not _has_text(element):
                self.blank.add(str(self._index))
            self._index += 1
            element.clear()


def _has_text(string: Element) -> bool:
    return any(
        local_name(element.tag) == "t" and (element.text or "").strip() for element in string.iter()
    )


def _survey(archive: Archive, part: str, blank_strings: set[str], title: str) -> Survey:
    rows = _Rows(archive.title, title, blank_strings)
    archive.skim(part, rows)
    return rows.survey


class _Rows:
    """Surveys the rows of a sheet.

    A row is plain only with attributes that the parser has seen in a row before. So it is the
    parser that says of each such text whether it is well-formed, and hides the row.

    Args:
        file: The file, for messages.
        title: File and sheet, for messages.
        blank_strings: Indexes of the shared strings that hold white space at most.
    """

    name = "row"

    def __init__(self, file: str, title: str, blank_strings: set[str]) -> None:
        self.survey = Survey()
        self._hidden: list[int] = []
        self.survey.hidden = self._hidden
        self._file = file
        self._title = title
        self._blank_strings = blank_strings
        self._number = 0
        self._hidden_by_default = False
        self._prefix = self._gap = ""
        self._width = 0
        self._plain = PlainRows("", "", 0)
        self._hides: dict[str, bool] = {}
        self._unknown: str | None = None

    def begin(self, prefix: str, gap: str) -> None:
        self._prefix, self._gap = prefix, gap
        self._plain = PlainRows(prefix, gap, self._width)

    def skip(self, text: str, at: int) -> int:
        # Not whenever the sheet turns out to be wider: there may be thousands of such rows.
        if at == 0 and self._width != self.survey.width:
            self._width = self.survey.width
            self._plain = PlainRows(self._prefix, self._gap, self._width)
        self._unknown = None
        number, filled, end_of_cell = self._number, self.survey.filled, self._plain.end
        match, hides_row, count = self._plain.row.match, self._hides.get, text.count
        while found := match(text, at):
            digits, attributes, blank = found.groups()
            hides = hides_row(attributes)
            if hides is None:
                self._unknown = attributes
                break
            end = found.end()
            cells = count(end_of_cell, at, end)
            if blank or self._blank_strings:
                cells -= self._blank_cells(text, at, end)
            number = int(digits)
            if cells:
                filled[number] = filled.get(number, 0) + cells
            if hides and number in filled:
                self._hidden.append(number)
            at = end
        self._number = number
        return at

    def _blank_cells(self, text: str, at: int, end: int) -> int:
        """Cells of a plain row that end as a cell with content does, and have none."""
        blank = len(self._plain.blank.findall(text, at, end))
        if self._blank_strings:
            indexes = self._plain.index.findall(text, at, end)
            blank += sum(map(self._blank_strings.__contains__, indexes))
        return blank

    def take(self, element: Element) -> None:
        if element.tag.endswith("}sheetFormatPr"):
            self._hidden_by_default = element.get("zeroHeight") in _TRUE
            self._hides.clear()
        elif element.tag.endswith("}row"):
            self._number = _number(element.get("r"), self._number, self._file)
            _survey_row(self.survey, element, self._number, self._blank_strings, self._title)
            hides = _is_hidden(element, self._hidden_by_default)
            if hides and self._number in self.survey.filled:
                self._hidden.append(self._number)
            if self._unknown is not None and len(self._hides) < _MOST_ATTRIBUTES:
                self._hides[self._unknown] = hides
            self._unknown = None
            element.clear()


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


class Parts:
    """The parts that a workbook refers to.

    Attributes:
        worksheets: Relationship identifier to part name; chart sheets are not among them.
        strings: Part of the shared strings, or empty.
        styles: Part of the styles, or empty.
    """

    def __init__(self, archive: Archive, workbook: str) -> None:
        self.worksheets: dict[str, str] = {}
        self.strings = ""
        self.styles = ""
        for identifier, kind, part in _relationships(archive, workbook):
            if part not in archive:
                continue
            if kind == "worksheet":
                self.worksheets[identifier] = part
            elif kind == "sharedStrings":
                self.strings = part
            elif kind == "styles":
                self.styles = part


def _relationships(archive: Archive, part: str) -> Iterator[tuple[str, str, str]]:
    folder, name = posixpath.split(part)
    relationships = f"{folder}/_rels/{name}.rels"
    if relationships not in archive:
        raise damaged(archive.title, f"it has no part {relationships}")
    for element in archive.elements(relationships):
        if local_name(element.tag) == "Relationship":
            kind = element.get("Type", "").rpartition("/")[2]
            target = posixpath.join("/", folder, element.get("Target", ""))
            yield element.get("Id", ""), kind, posixpath.normpath(target).lstrip("/")
