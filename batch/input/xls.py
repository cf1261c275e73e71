"""Excel 97-2003 and Excel 5 workbooks: read by calamine, checked against their own records.

Source: [MS-XLS] 2.1.4 (records), 2.4 (their contents) and 2.5 (strings).
"""

from __future__ import annotations

import io
import struct
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import olefile

from batch.errors import InputError
from batch.input.archive import damaged, password_needed
from batch.input.calamine import Survey, read_columns, sheet_names
from batch.input.table import Columns, Sheet, covered_by, error_of, shows_digits, title_of
from batch.input.xlsb import is_date_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.input.table import Block


_STREAMS = ("Workbook", "Book")
_ENCRYPTED = ("EncryptedPackage", "EncryptionInfo")

# Record numbers, [MS-XLS] 2.3.
_FORMULA, _END, _FILE_PASSWORD, _SHEET, _MANY_NUMBERS, _BEGIN = 0x06, 0x0A, 0x2F, 0x85, 0xBD, 0x809
_RICH_LABEL, _SHARED_STRING, _LABEL, _RESULT = 0xD6, 0xFD, 0x204, 0x207
_NUMBER, _BOOL_OR_ERROR, _SHORT_NUMBER = 0x203, 0x205, 0x27E
_CONTINUED, _CODE_PAGE, _CELL_FORMAT, _MERGED, _SHARED_STRINGS = 0x3C, 0x42, 0xE0, 0xE5, 0xFC
_DIMENSIONS, _ROW, _FORMAT = 0x200, 0x208, 0x41E

_BIFF8 = 0x600
_UTF_16 = 1200
_FREE_FORMATS = 60_000  # and on: programs count theirs from 164, or from 50
_HIDDEN = 0x20
_LOST = "\N{REPLACEMENT CHARACTER}"
_ROWS, _COLUMNS = 2**16, 2**8


def xls_sheets(handle: BinaryIO, title: str) -> list[Sheet]:
    """The worksheets of a workbook, in order.

    Raises:
        InputError: It is damaged or encrypted.
    """
    name, stream = _workbook_stream(handle, title)
    book = _Book(stream, title)
    # Before calamine opens the file: that reads all of its sheets.
    surveys = [_Surveyor(book).survey(at) for at, _, _ in book.sheets]
    handle = _corrected(handle, name, book)
    names = sheet_names(handle, title)
    if len(names) != len(book.sheets):
        raise damaged(title, f"it lists {len(book.sheets)} sheets and has {len(names)}")
    return [
        Sheet(name, state == 0, partial(_read, handle, title, name, survey))
        for name, survey, (_, state, kind) in zip(names, surveys, book.sheets, strict=True)
        if kind == 0
    ]


def _read(handle: BinaryIO, title: str, name: str, survey: Survey) -> Columns:
    found = read_columns(handle, title, name, survey)
    blocks = _complete(found.blocks, title_of(title, name))
    return Columns(blocks, found.width, found.hidden, found.covered)


def _complete(blocks: Iterator[Block], title: str) -> Iterator[Block]:
    for block in blocks:
        for column in block.columns:
            # calamine loses a character of two units (an emoji) where a record breaks between them.
            at = next((at for at, cell in enumerate(column) if _LOST in cell), None)
            if at is not None:
                raise InputError(
                    f"{title}, row {block.row + at}: a character could not be read.",
                    hint="save the list as xlsx or CSV.",
                )
        yield block


def _workbook_stream(handle: BinaryIO, title: str) -> tuple[str, bytes]:
    """Name and content of the stream that holds the workbook."""
    try:
        with olefile.OleFileIO(handle) as ole:
            if any(ole.exists(name) for name in _ENCRYPTED):
                raise password_needed(title)
            for name in _STREAMS:
                if ole.exists(name):
                    return name, bytes(ole.openstream(name).read())
    except (OSError, ValueError, IndexError, TypeError, struct.error) as error:
        raise damaged(title, str(error)) from None
    raise InputError(
        f"{title} is an OLE file, but not a workbook.", hint="save the list as xlsx or CSV."
    )


def _corrected(handle: BinaryIO, name: str, book: _Book) -> BinaryIO:
    """A workbook that calamine understands as spreadsheet programs do.

    Since Excel 97 texts are UTF-16, whatever the record of the code page says;
    Spreadsheet::WriteExcel and JExcelApi write another one, and calamine believes it. Formats that
    a workbook defines have any number; Gnumeric begins at 50, and calamine takes that for a date.
    """
    numbers = dict.fromkeys(book.code_pages if book.version == _BIFF8 else (), _UTF_16)
    numbers |= book.renumbered_formats()
    if not numbers:
        return handle
    handle.seek(0)
    copy = io.BytesIO(handle.read())
    stream = bytearray(book.stream)
    for at, number in numbers.items():
        struct.pack_into("<H", stream, at, number)
    with olefile.OleFileIO(copy, write_mode=True) as ole:
        ole.write_stream(name, bytes(stream))
    return copy


def _records(stream: bytes, at: int, title: str) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and contents of each record up to the end of a substream, its charts not."""
    depth = 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        data = stream[at + 4 : at + 4 + size]
        at += 4 + size
        depth += (kind == _BEGIN) - (kind == _END)
        if depth == 0:
            return
        if depth == 1:
            yield kind, at - size, data
    raise damaged(title, "it ends within a sheet")


class _Book:
    """The part of a workbook that its sheets share.

    Args:
        stream: Its records.
        title: The file, for messages.

    Attributes:
        version: Of the format.
        sheets: Place, state and kind of each sheet.
        blank_strings: Indexes of the shared strings that hold white space at most.
        odd_formats: Indexes of the cell formats that do not show a number by its digits.
        code_pages: Places in the stream that name a code page other than UTF-16.
    """

    def __init__(self, stream: bytes, title: str) -> None:
        self.stream = stream
        self.title = title
        self.version = 0
        self.sheets: list[tuple[int, int, int]] = []
        self.blank_strings: set[int] = set()
        self.odd_formats: set[int] = set()
        self.code_pages: list[int] = []
        self._codes: dict[int, str] = {}
        self._formats: list[int] = []
        self._format_places: dict[int, int] = {}
        strings: list[bytes] = []
        with _whole_records(title):
            for kind, at, data in _records(stream, 0, title):
                if kind == _SHARED_STRINGS or (kind == _CONTINUED and strings):
                    strings.append(data)
                else:
                    self._blank_of(strings)
                    self._take(kind, at, data)
            self._blank_of(strings)
        for index, number in enumerate(self._formats):
            if not shows_digits(number, self._codes.get(number, "")):
                self.odd_formats.add(index)

    def _take(self, kind: int, at: int, data: bytes) -> None:
        if kind == _FILE_PASSWORD:
            raise password_needed(self.title)
        if kind == _BEGIN:
            self.version = int.from_bytes(data[:2], "little")
        elif kind == _SHEET:
            self.sheets.append((int.from_bytes(data[:4], "little"), data[4] & 3, data[5]))
        elif kind == _CODE_PAGE and int.from_bytes(data[:2], "little") != _UTF_16:
            self.code_pages.append(at)
        elif kind == _CELL_FORMAT:
            self._formats.append(struct.unpack_from("<H", data, 2)[0])
            self._format_places[at + 2] = self._formats[-1]
        elif kind == _FORMAT:
            code = self.text(data[2:]) if self.version == _BIFF8 else data[3:].decode("latin-1")
            number = int.from_bytes(data[:2], "little")
            self._codes[number] = code
            self._format_places[at] = number

    def renumbered_formats(self) -> dict[int, int]:
        """Places in the stream of formats that are no dates, but numbered like them; new numbers.

        A number means a date only where the workbook does not define it itself.
        """
        wrong = [
            number
            for number, code in self._codes.items()
            if is_date_format(number) and not is_date_format(number, code)
        ]
        new = dict(zip(wrong, range(_FREE_FORMATS, 2**16), strict=False))
        return {at: new[number] for at, number in self._format_places.items() if number in new}

    def text(self, data: bytes) -> str:
        """The text of a string that begins with its length, 2.5.294; before Excel 97 in ASCII."""
        (length,) = struct.unpack_from("<H", data)
        if self.version != _BIFF8 or not length:
            return data[2 : 2 + length].decode("latin-1")
        if data[2] & 1:
            return data[3 : 3 + 2 * length].decode("utf-16-le", "replace")
        return data[3 : 3 + length].decode("latin-1")

    def _blank_of(self, records: list[bytes]) -> None:
        """Note which shared strings are blank, and drop the records that hold them."""
        if records:
            self.blank_strings = {
                index for index, text in enumerate(_shared_strings(records)) if not text.strip()
            }
            records.clear()


def _shared_strings(records: list[bytes]) -> Iterator[str]:
    """The shared strings (2.4.265)."""
    pieces = _Pieces(records)
    pieces.take(8)
    while pieces.are_left():
        length, flags = struct.unpack("<HB", pieces.take(3))
        runs = int.from_bytes(pieces.take(2), "little") if flags & 8 else 0
        extension = int.from_bytes(pieces.take(4), "little") if flags & 4 else 0
        yield pieces.text(length, is_wide=bool(flags & 1))
        pieces.take(4 * runs + extension)


class _Pieces:
    """A record that goes on in others (2.4.58)."""

    def __init__(self, records: list[bytes]) -> None:
        self._records = iter(records)
        self._data = b""
        self._at = 0

    def are_left(self) -> bool:
        """Tell whether more follows; if so, in the record that is looked at."""
        if self._at == len(self._data):
            self._data, self._at = next(self._records, b""), 0
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """So many bytes."""
        taken = b""
        while len(taken) < size:
            if not self.are_left():
                raise IndexError(size)
            piece = self._data[self._at : self._at + size - len(taken)]
            self._at += len(piece)
            taken += piece
        return taken

    def text(self, length: int, *, is_wide: bool) -> str:
        """So many characters; where they go on in another record, it begins with their width."""
        text = ""
        while length:
            if self._at == len(self._data):
                is_wide = bool(self.take(1)[0] & 1)
            fit = min(length, (len(self._data) - self._at) >> is_wide)
            if not fit:
                raise IndexError(length)
            encoding = "utf-16-le" if is_wide else "latin-1"
            text += self.take(fit << is_wide).decode(encoding, "replace")
            length -= fit
        return text


class _Surveyor:
    """Surveys a sheet of a workbook."""

    def __init__(self, book: _Book) -> None:
        self._book = book
        self._survey = Survey()
        self._awaited: tuple[int, int] | None = None

    def survey(self, at: int) -> Survey:
        """Survey the sheet at a place in the stream."""
        rows: dict[int, bool] = {}
        with _whole_records(self._book.title):
            for kind, _, data in _records(self._book.stream, at, self._book.title):
                if kind == _ROW:
                    row, flags = struct.unpack_from("<H10xI", data)
                    rows[row + 1] = bool(flags & _HIDDEN)
                elif kind == _DIMENSIONS:
                    _check_dimensions(data, self._book.title)
                elif kind == _MERGED:
                    (count,) = struct.unpack_from("<H", data)
                    for area in struct.iter_unpack("<HHHH", data[2 : 2 + 8 * count]):
                        self._survey.covered += covered_by(*area)
                else:
                    self._add(kind, data)
        # SheetJS writes cells without the rows that would say what is hidden.
        filled = self._survey.filled
        self._survey.hidden = [row for row, held in enumerate(filled, 1) if held and rows.get(row)]
        if not rows:
            self._survey.hidden = None
        return self._survey

    def _add(self, kind: int, data: bytes) -> None:
        if kind == _MANY_NUMBERS:
            row, first = struct.unpack_from("<HH", data)
            for index in range((len(data) - 6) // 6):
                self._fill_number(row, first + index, data[4 + 6 * index : 6 + 6 * index])
        elif kind in {_NUMBER, _SHORT_NUMBER}:
            self._fill_number(*_place(data), data[4:6])
        elif kind == _BOOL_OR_ERROR:
            self._fill(*_place(data), error=data[6] if data[7] else None)
        elif kind == _FORMULA:
            self._add_formula(data)
        else:
            self._add_text(kind, data)

    def _add_text(self, kind: int, data: bytes) -> None:
        place = None
        if kind == _SHARED_STRING:
            if int.from_bytes(data[6:10], "little") not in self._book.blank_strings:
                place = _place(data)
        elif kind in {_LABEL, _RICH_LABEL}:
            if self._book.text(data[6:]).strip():
                place = _place(data)
        elif kind == _RESULT:
            if self._book.text(data).strip():
                place = self._awaited
            self._awaited = None
        if place:
            self._fill(*place)

    def _add_formula(self, data: bytes) -> None:
        result = data[6:14]
        self._awaited = None
        if result[6:] != b"\xff\xff":
            row, column = _place(data)
            self._fill_number(row, column, data[4:6])
            self._survey.note_formula(row + 1, column + 1)
        elif result[0] == 0:
            self._awaited = _place(data)
        elif result[0] == 1:
            self._fill(*_place(data))
        elif result[0] == 2:
            self._fill(*_place(data), error=result[2])

    def _fill_number(self, row: int, column: int, cell_format: bytes) -> None:
        if int.from_bytes(cell_format, "little") in self._book.odd_formats:
            self._survey.note_format(row + 1, column + 1)
        self._fill(row, column)

    def _fill(self, row: int, column: int, *, error: int | None = None) -> None:
        """Count a cell with content; row and column are counted from 0."""
        self._survey.count(row + 1)
        self._survey.width = max(self._survey.width, column + 1)
        if error is not None:
            self._survey.errors.setdefault(row + 1, {})[column + 1] = error_of(error)


def _check_dimensions(data: bytes, title: str) -> None:
    # calamine reserves memory for as many cells, and ends the process where it gets none.
    if len(data) >= 14:
        _, rows, _, columns = struct.unpack_from("<IIHH", data)
        if rows > _ROWS or columns > _COLUMNS:
            raise damaged(title, f"a sheet of {rows:,} rows and {columns:,} columns")


def _place(data: bytes) -> tuple[int, int]:
    """Row and column of a cell, counted from 0."""
    row, column = struct.unpack_from("<HH", data)
    return row, column


@contextmanager
def _whole_records(title: str) -> Iterator[None]:
    try:
        yield
    except (struct.error, IndexError):
        raise damaged(title, "a record is cut short") from None
