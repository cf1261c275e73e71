"""The door to python-calamine, and the proof that it has read a sheet in full."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import python_calamine

from batch.errors import InputError
from batch.input.archive import damaged, password_needed
from batch.input.table import (
    BLOCK_ROWS,
    Block,
    Columns,
    Contents,
    Value,
    check_area,
    rows_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


@dataclass(slots=True)
class Survey:
    """The content of a sheet as its own bytes tell it, found without calamine.

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
    """Return the content of a sheet, as rows that can be read more than once.

    Args:
        handle: The workbook.
        title: The file, for messages.
        name: The sheet.
        survey: What it must turn out to hold.

    Raises:
        InputError: It cannot be read, or not in full.
    """
    columns = read_columns(handle, title, name, survey)
    return Contents(list(rows_of(columns.blocks)), columns.width, columns.hidden)


def read_columns(handle: BinaryIO, title: str, name: str, survey: Survey) -> Columns:
    """Return the content of a sheet, read as its blocks are; arguments as for `read_sheet`.

    Raises:
        InputError: It is too large; while blocks are read also: it cannot be read in full.
    """
    check_area(f'{title}, sheet "{name}"', max(survey.filled, default=0), survey.width)
    hidden = None if survey.hidden is None else tuple(sorted(survey.hidden))
    return Columns(_blocks(handle, title, name, survey), survey.width, hidden)


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


def _blocks(handle: BinaryIO, title: str, name: str, survey: Survey) -> Iterator[Block]:
    """The rows up to the last one with content, each with as many cells as it must have."""
    last = max(survey.filled, default=0)
    read = 0
    with _opened(handle, title) as book:
        sheet = book.get_sheet_by_name(name)
        margin = sheet.start[1] if sheet.start else 0
        rows = iter(_rows(sheet))
        title = f'{title}, sheet "{name}"'
        while values := list(islice(rows, BLOCK_ROWS)):
            block = Block(read + 1, _columns(values, margin, survey.width))
            _put_errors(block, survey)
            _prove(block, survey, title)
            read += len(values)
            if read > last:
                block = Block(block.row, [column[: last - read] for column in block.columns])
            if len(block):
                yield block
    for number, held in survey.filled.items():
        if not 1 <= number <= read and held > survey.doubtful.get(number, 0):
            raise _incomplete(title, number, held, 0)


def _rows(sheet: python_calamine.CalamineSheet) -> Iterable[list[Value]]:
    """The rows from row 1 on; calamine leaves out empty columns on the left, not rows above."""
    return sheet.iter_rows() if sheet.start else ()


def _columns(rows: list[list[Value]], margin: int, width: int) -> list[list[str]]:
    """The columns of some rows, from the sheet's first one to the last one with content."""
    columns = [[""] * len(rows) for _ in range(margin)]
    columns += [list(map(text_of, column)) for column in zip(*rows, strict=True)]
    columns += [[""] * len(rows) for _ in range(width - len(columns))]
    return columns


def _put_errors(block: Block, survey: Survey) -> None:
    for number in survey.errors.keys() & range(block.row, block.row + len(block)):
        for column, error in survey.errors[number].items():
            block.columns[column - 1][number - block.row] = error


def _prove(block: Block, survey: Survey, title: str) -> None:
    """Refuse a block with rows that have lost cells, and empty all cells of its blank rows."""
    numbers = range(block.row, block.row + len(block))
    found = np.zeros(len(block), np.int64)
    for column in block.columns:
        found += np.fromiter(map(bool, map(str.strip, column)), bool, len(block))
    most = _counts(survey.filled, numbers)
    least = most - _counts(survey.doubtful, numbers)
    for index in np.flatnonzero((found < least) | (found > most)):
        raise _incomplete(title, numbers[index], int(most[index]), int(found[index]))
    for index in np.flatnonzero(found == 0):
        for column in block.columns:
            column[index] = ""


def _counts(counts: dict[int, int], numbers: range) -> NDArray[np.int64]:
    return np.fromiter(map(counts.get, numbers, repeat(0)), np.int64, len(numbers))


def _incomplete(title: str, row: int, held: int, found: int) -> InputError:
    return InputError(
        f"{title}, row {row}: {held} cells hold something, but {found} could be read.",
        hint="save the list as CSV.",
    )
