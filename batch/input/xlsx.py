"""Excel workbooks (xlsx, xlsm): read by calamine, checked against the sheet's own XML.

Source: ECMA-376 part 1, 18.2 (workbook), 18.3 (worksheet), 18.4 (shared strings), 18.8 (styles);
part 2, 9.3 (relationships).
"""

from __future__ import annotations

import posixpath
import re
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError
from batch.input.archive import Archive, damaged, local_name
from batch.input.calamine import Survey, read_columns
from batch.input.table import (
    ERROR,
    NOT_COMPUTED,
    Columns,
    NotText,
    Sheet,
    check_area,
    covered_by,
    shows_digits,
    title_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


_USUAL = "xl/workbook.xml"
_ROOT_RELATIONSHIPS = "_rels/.rels"
_TRUE = ("1", "true")
_AREA = re.compile(r"([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})")


def workbook_part(archive: Archive) -> str:
    """The name of the part that lists the sheets of an Excel workbook; empty where none does."""
    if _ROOT_RELATIONSHIPS in archive:
        named = [part for _, kind, part in _relationships(archive, "") if kind == "officeDocument"]
    else:
        named = [_USUAL, "xl/workbook.bin"]
    for part in named:
        if part in archive and (part.lower().endswith(".bin") or _is_workbook(archive, part)):
            return part
    return ""


def _is_workbook(archive: Archive, part: str) -> bool:
    for _, element in archive.events(part, ("start",)):
        return local_name(element.tag) == "workbook"
    return False


def xlsx_sheets(archive: Archive, handle: BinaryIO, workbook: str) -> list[Sheet]:
    """The worksheets of a workbook, in order.

    Args:
        archive: Its parts.
        handle: The file.
        workbook: The part that lists its sheets.

    Raises:
        InputError: It is damaged, or calamine would not find its parts.
    """
    folder, _ = posixpath.split(workbook.lower())
    if folder != "xl":
        raise InputError(
            f"{archive.title} is a workbook whose parts are not in the folder xl, but in"
            f" {folder or 'none'}.",
            hint="open it in a spreadsheet program and save it as xlsx, or as CSV.",
        )
    if workbook.lower() != _USUAL:
        # Any name will do, but calamine knows this one alone.
        names = {workbook: _USUAL, _relationships_of(workbook): _relationships_of(_USUAL)}
        handle = archive.renamed(names)
    parts = Parts(archive, workbook)
    sheets = []
    for element in archive.elements(workbook):
        if local_name(element.tag) == "sheet":
            attributes = {local_name(name): value for name, value in element.attrib.items()}
            part = parts.worksheets.get(attributes.get("id", ""))
            if part:
                name = attributes.get("name", "")
                visible = attributes.get("state", "visible") == "visible"
                read = partial(_read, archive, handle, name, part, parts)
                sheets.append(Sheet(name, visible, read))
    return sheets


def _read(archive: Archive, handle: BinaryIO, name: str, part: str, parts: Parts) -> Columns:
    title = title_of(archive.title, name)
    formats = _odd_formats(archive, parts.styles)
    surveyor = _Surveyor(title, formats)
    archive.parse(part, surveyor.start)
    surveyor.end_row()
    archive.prove()

    def exact() -> Survey:
        reader = _ExactSurveyor(title, formats, _blank_strings(archive, parts.strings))
        archive.parse(part, reader.start, reader.text)
        reader.end_row()
        return reader.survey

    if surveyor.survey.hidden:
        return read_columns(handle, archive.title, name, exact())
    return read_columns(handle, archive.title, name, surveyor.survey, exact)


def _odd_formats(archive: Archive, part: str) -> set[str]:
    """Indexes of the cell formats that do not show a whole number by its digits alone."""
    styles = _Styles()
    if part:
        archive.parse(part, styles.start)
    return {
        str(index)
        for index, number in enumerate(styles.formats)
        if number.isdecimal() and not shows_digits(int(number), styles.codes.get(number, ""))
    }


class _Styles:
    """Reads which number formats the cells of a workbook may have.

    Attributes:
        codes: Number of a format to its code.
        formats: Number of the format for each kind of cell.
    """

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.formats: list[str] = []
        self._names = _LocalNames()
        self._section = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the next start tag."""
        name = self._names[name]
        if name in {"numFmts", "cellStyleXfs", "cellXfs", "cellStyles", "dxfs"}:
            self._section = name
        elif name == "numFmt" and self._section == "numFmts":
            self.codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "xf" and self._section == "cellXfs":
            self.formats.append(attributes.get("numFmtId", "0"))


class _LocalNames(dict[str, str]):
    """Names of elements without their prefix."""

    def __missing__(self, name: str) -> str:
        """Note and return one that comes for the first time."""
        self[name] = name.rpartition(":")[2]
        return self[name]


class _ColumnNumbers(dict[str, int]):
    """Numbers of columns by their letters, counted from 1."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __missing__(self, letters: str) -> int:
        """Note and return one that comes for the first time."""
        if not re.fullmatch("[A-Z]{1,3}", letters):
            raise damaged(self._title, f"a cell is in column {letters!r}")
        number = 0
        for letter in letters:
            number = 26 * number + ord(letter) - ord("A") + 1
        self[letters] = number
        return number


class _Surveyor:
    """Surveys a sheet by the tags of its XML: a cell with a value or a formula counts as filled.

    Values that are blank, errors, and formulas without a result are told from others by
    `_ExactSurveyor`, which takes twice as long.

    Args:
        title: File and sheet, for messages.
        odd_formats: Indexes of the cell formats that do not show a number by its digits.
    """

    def __init__(self, title: str, odd_formats: Collection[str]) -> None:
        self.survey = Survey()
        self._hidden: list[int] = []
        self.survey.hidden = self._hidden
        self._title = title
        self._odd_formats = odd_formats
        self._names = _LocalNames()
        self._columns = _ColumnNumbers(title)
        self._row = self._column = self._cells = 0
        self._width = 0
        self._letters = -1
        self._hides = self._is_open = self._is_odd = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the next start tag; it is called several million times for a large sheet."""
        name = self._names[name]
        if name == "c":
            self._is_open = True
            reference = attributes.get("r")
            if reference is None:
                self._column += 1
            else:
                self._column = self._columns[reference[: self._letters]]
            if self._odd_formats:
                is_number = attributes.get("t", "n") == "n"
                self._is_odd = is_number and attributes.get("s", "0") in self._odd_formats
        elif name == "v" or name == "is" or name == "f":  # noqa: PLR1714 - a set takes longer
            if self._is_open:
                self._is_open = False
                self._cells += 1
                if self._column > self._width:
                    self._width = self.survey.width = self._column
                if self._is_odd or name == "f":
                    self._note(is_formula=name == "f")
        elif name == "row":
            self.end_row()
            self._begin_row(attributes)
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))

    def _note(self, *, is_formula: bool) -> None:
        check_area(self._title, self._row, self._column)
        if self._is_odd:
            self.survey.note_format(self._row, self._column)
        if is_formula:
            self.survey.note_formula(self._row, self._column)

    def end_row(self) -> None:
        """Note the row that ends here."""
        if self._cells:
            check_area(self._title, self._row, self._width)
            self.survey.count(self._row, self._cells)
            if self._hides:
                self._hidden.append(self._row)
        self._cells = 0

    def _begin_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r")
        if number is None:
            self._row += 1
        elif number.isdecimal() and number.strip("0"):
            self._row = int(number)
        else:
            raise damaged(self._title, f"a row is numbered {number!r}")
        self._letters = -len(str(self._row) if number is None else number)
        self._column = 0
        height = attributes.get("ht")
        self._hides = attributes.get("hidden") in _TRUE or (
            height is not None and not height.strip("0.")
        )

    def _merge(self, reference: str) -> None:
        found = _AREA.fullmatch(reference)
        if found:
            left, right = (self._columns[letters] - 1 for letters in found.group(1, 3))
            top, bottom = (int(number) - 1 for number in found.group(2, 4))
            self.survey.covered += covered_by(top, bottom, left, right)


class _ExactSurveyor(_Surveyor):
    """Surveys a sheet by the text in its XML as well.

    Args:
        title: File and sheet, for messages.
        odd_formats: Indexes of the cell formats that do not show a number by its digits.
        blank_strings: Indexes of the shared strings that hold white space at most.
    """

    def __init__(
        self, title: str, odd_formats: Collection[str], blank_strings: Collection[str]
    ) -> None:
        super().__init__(title, odd_formats)
        self._blank_strings = blank_strings
        self._kind = "n"
        self._texts: dict[str, str] = {}
        self._inside = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the next start tag."""
        local = self._names[name]
        if local in {"v", "f", "t", "rPh"}:
            self._inside = "rPh" if self._inside == "rPh" else local
            self._texts.setdefault(self._inside, "")
        elif local != "is":
            if local in {"c", "row"}:
                self._end_cell()
                self._kind = attributes.get("t", "n")
            super().start(name, attributes)

    def text(self, text: str) -> None:
        """Take the text that follows."""
        if self._inside:
            self._texts[self._inside] += text

    def end_row(self) -> None:
        """Note the row that ends here, and its last cell."""
        self._end_cell()
        super().end_row()

    def _end_cell(self) -> None:
        texts, self._texts, self._inside = self._texts, {}, ""
        text = texts.get("t" if self._kind == "inlineStr" else "v", "").strip()
        has_value = "v" in texts or self._kind == "inlineStr"
        is_text = self._kind in {"s", "str", "inlineStr"}
        error = None
        if self._kind == "e" and text:
            error = NotText(text, ERROR)
        elif "f" in texts and not text and not (is_text and has_value):
            error = NOT_COMPUTED
        is_blank = not text or (self._kind == "s" and text in self._blank_strings)
        if error or not is_blank:
            super().start("f" if "f" in texts else "v", {})
        if error:
            self.survey.errors.setdefault(self._row, {})[self._column] = error


def _blank_strings(archive: Archive, part: str) -> set[str]:
    """Indexes of the shared strings that hold white space at most."""
    strings = _Strings()
    if part:
        archive.parse(part, strings.start, strings.text)
    return strings.blank


class _Strings:
    """Finds the blank ones among the shared strings."""

    def __init__(self) -> None:
        self.blank: set[str] = set()
        self._names = _LocalNames()
        self._count = 0
        self._index = ""
        self._is_phonetic = False

    def start(self, name: str, _: dict[str, str]) -> None:
        """Take the next start tag."""
        name = self._names[name]
        if name == "si":
            self._index = str(self._count)
            self._count += 1
            self.blank.add(self._index)
            self._is_phonetic = False
        elif name == "rPh":
            self._is_phonetic = True

    def text(self, text: str) -> None:
        """Take the text that follows."""
        if not self._is_phonetic and not text.isspace():
            self.blank.discard(self._index)


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
    """Identifier, kind and part of each relationship of a part, or of the file for no part."""
    relationships = _relationships_of(part)
    if relationships not in archive:
        raise damaged(archive.title, f"it has no part {relationships}")
    for element in archive.elements(relationships):
        if local_name(element.tag) == "Relationship":
            kind = element.get("Type", "").rpartition("/")[2]
            folder = posixpath.dirname(part)
            target = posixpath.join("/", folder, element.get("Target", "").replace("\\", "/"))
            yield element.get("Id", ""), kind, posixpath.normpath(target).lstrip("/")


def _relationships_of(part: str) -> str:
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")
