"""The door to python-calamine, and the proof that it has read a sheet in full."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import python_calamine

from batch.errors import InputError
from batch.tables.archive import damaged, password_needed
from batch.tables.sheets import Contents, check_area, text_of
from batch.tables.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Survey:
    """What a sheet's own bytes say that it holds, found without calamine.

    Attributes:
        filled: Row number to its cells with content, errors included; without blank rows.
        doubtful: Row number to those of them that hold a text, which may be a blank one.
        errors: Row number to column number to an error such as ``#REF!``, which calamine
            takes for an empty cell. All numbers are counted from 1.
        hidden: Numbers of the hidden or filtered rows with content; None where the sheet
            does not say.
        width: Columns up to the last one with content.
    """

    filled: dict[int, int] = field(default_factory=dict)
    doubtful: dict[int, int] = field(default_factory=dict)
    errors: dict[int, dict[int, str]] = field(default_factory=dict)
    hidden: list[int] | None = field(default_factory=list)
    width: int = 0

    def add(self, row: int, column: int, *, error: str = "", maybe_blank: bool = False) -> None:
        """Note a cell with content."""
        self.filled[row] = self.filled.get(row, 0) + 1
        if maybe_blank:
            self.doubtful[row] = self.doubtful.get(row, 0) + 1
        self.width = max(self.width, column)
        if error:
            self.errors.setdefault(row, {})[column] = error


def sheet_names(handle: BinaryIO, title: str) -> list[str]:
    """The names of all sheets, those that are no worksheets included, in order."""
    with _opened(handle, title) as book:
        return list(book.sheet_names)


def read_sheet(handle: BinaryIO, title: str, name: str, survey: Survey) -> Contents:
    """What a sheet holds.

    Args:
        handle: The workbook.
        title: The file, for messages.
        name: The sheet.
        survey: What it must turn out to hold.

    Raises:
        InputError: It cannot be read, or not in full.
    """
    sheet_title = f'{title}, sheet "{name}"'
    check_area(sheet_title, max(survey.filled, default=0), survey.width)
    with _opened(handle, title) as book:
        rows = list(_complete(_rows(book.get_sheet_by_name(name), survey), sheet_title, survey))
    hidden = None if survey.hidden is None else tuple(sorted(survey.hidden))
    return Contents(rows, survey.width, hidden)


@contextmanager
def _opened(handle: BinaryIO, title: str) -> Iterator[python_calamine.CalamineWorkbook]:
    try:
        handle.seek(0)
        with python_calamine.CalamineWorkbook.from_filelike(handle) as book:
            yield book
    except python_calamine.PasswordError:
        raise password_needed(title) from None
    except python_calamine.CalamineError as error:
        raise damaged(title, str(error)) from None
    except BaseException as error:
        # A bug in the Rust library arrives as PanicException, which is no Exception.
        if type(error).__name__ == "PanicException":
            raise damaged(title, str(error)) from None
        raise


def _rows(sheet: python_calamine.CalamineSheet, survey: Survey) -> Iterator[Row]:
    """The rows from row 1 on; calamine leaves out empty columns on the left, not rows above."""
    if sheet.start is None:
        return
    margin = [""] * sheet.start[1]
    for number, values in enumerate(sheet.iter_rows(), 1):
        cells = margin + [text_of(value) for value in values]
        for column in survey.errors.get(number, {}):
            cells.extend([""] * (column - len(cells)))
            cells[column - 1] = survey.errors[number][column]
        yield Row(number, cells)


def _complete(rows: Iterator[Row], title: str, survey: Survey) -> Iterator[Row]:
    """The rows, as long as each has as many cells with content as it must have."""
    expected = dict(survey.filled)
    for row in rows:
        held = expected.pop(row.number, 0)
        found = sum(1 for cell in row.cells if cell.strip())
        if not held - survey.doubtful.get(row.number, 0) <= found <= held:
            raise _incomplete(title, row.number, held, found)
        yield row
    for number, held in expected.items():
        if held > survey.doubtful.get(number, 0):
            raise _incomplete(title, number, held, 0)


def _incomplete(title: str, row: int, held: int, found: int) -> InputError:
    return InputError(
        f"{title}, row {row}: {held} cells hold something, but {found} could be read.",
        hint="save the list as CSV.",
    )
