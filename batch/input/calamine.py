"""The door to python-calamine, and the proof that it has read a sheet in full."""

from __future__ import annotations

from array import array
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import python_calamine

from batch.errors import InputError
from batch.input.archive import damaged, password_needed
from batch.input.table import (
    BLOCK_ROWS,
    FORMATTED,
    ZERO,
    Area,
    Block,
    Columns,
    NotText,
    Value,
    check_area,
    text_of,
    title_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray


@dataclass(slots=True)
class Survey:
    """The content of a sheet as its own bytes tell it, found without calamine.

    Attributes:
        filled: For each row from the first one to the last one with content, how many of its
            cells hold something, errors included.
        errors: Row number to column number to an error such as ``#REF!``, which calamine
            takes for an empty cell. All numbers are counted from 1.
        formatted: Column number to a byte for each row, 1 where a number stands whose format
            shows it otherwise than by its digits.
        computed: Column number to a byte for each row, 1 where a formula stands whose result
            may be 0.
        hidden: Numbers of the hidden or filtered rows with content; None where the sheet
            does not say.
        covered: Areas that a merge covers.
        width: Columns up to the last one with content.
    """

    filled: array[int] = field(default_factory=lambda: array("H"))
    errors: dict[int, dict[int, NotText]] = field(default_factory=dict)
    formatted: dict[int, bytearray] = field(default_factory=dict)
    computed: dict[int, bytearray] = field(default_factory=dict)
    hidden: list[int] | None = field(default_factory=list)
    covered: list[Area] = field(default_factory=list)
    width: int = 0

    def count(self, row: int, cells: int = 1) -> None:
        """Note cells with content."""
        missing = row - len(self.filled)
        if missing > 0:
            self.filled.frombytes(bytes(missing * self.filled.itemsize))
        self.filled[row - 1] += cells

    def note_format(self, row: int, column: int) -> None:
        """Note a number whose format shows it otherwise than by its digits."""
        _set_flag(self.formatted, row, column)

    def note_formula(self, row: int, column: int) -> None:
        """Note a formula whose result may be 0."""
        _set_flag(self.computed, row, column)

    def cells_of(self, block: Block) -> NDArray[np.int64]:
        """For each row of a block how many of its cells hold something."""
        counts = np.zeros(len(block), np.int64)
        known = self.filled[block.row - 1 : block.row - 1 + len(block)]
        counts[: len(known)] = known
        return counts


def _set_flag(columns: dict[int, bytearray], row: int, column: int) -> None:
    flags = columns.setdefault(column, bytearray())
    flags.extend(bytes(max(0, row - len(flags))))
    flags[row - 1] = 1


def sheet_names(handle: BinaryIO, title: str) -> list[str]:
    """The names of all sheets, those that are no worksheets included, in order."""
    with _opened(handle, title) as book:
        return list(book.sheet_names)


def read_columns(
    handle: BinaryIO,
    title: str,
    name: str,
    survey: Survey,
    exact: Callable[[], Survey] | None = None,
) -> Columns:
    """Return the content of a sheet, read as its blocks are.

    Args:
        handle: The workbook.
        title: The file, for messages.
        name: The sheet.
        survey: What it must turn out to hold.
        exact: Where that survey may count blank cells and knows of no errors: makes one that is
            exact, and is called if calamine gives less.

    Raises:
        InputError: It is too large; while blocks are read also: it cannot be read in full.
    """
    check_area(title_of(title, name), len(survey.filled), survey.width)
    hidden = None if survey.hidden is None else tuple(sorted(set(survey.hidden)))
    blocks = _blocks(handle, title, name, survey, exact)
    return Columns(blocks, survey.width, hidden, tuple(survey.covered))


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


def _blocks(
    handle: BinaryIO, title: str, name: str, survey: Survey, exact: Callable[[], Survey] | None
) -> Iterator[Block]:
    """The rows up to the last one with content, each with as many cells as it must have."""
    proof = _Proof(title_of(title, name), survey, exact)
    width = survey.width
    read = 0
    with _opened(handle, title) as book:
        sheet = book.get_sheet_by_name(name)
        margin = sheet.start[1] if sheet.start else 0
        rows = iter(_rows(sheet))
        while values := list(islice(rows, BLOCK_ROWS)):
            block = proof.of(Block(read + 1, _columns(values, margin, width)))
            read += len(values)
            if len(block):
                yield block
    # calamine leaves out rows below that hold formulas without results and nothing else.
    while read < proof.last_row:
        size = min(BLOCK_ROWS, proof.last_row - read)
        block = proof.of(Block(read + 1, [[""] * size for _ in range(width)]))
        read += size
        if len(block):
            yield block


def _rows(sheet: python_calamine.CalamineSheet) -> Iterable[list[Value]]:
    """The rows from row 1 on; calamine leaves out empty columns on the left, not rows above."""
    return sheet.iter_rows() if sheet.start else ()


def _columns(rows: list[list[Value]], margin: int, width: int) -> list[list[str]]:
    """The columns of some rows, from the sheet's first one to the last one with content."""
    columns = [[""] * len(rows) for _ in range(margin)]
    columns += [list(map(text_of, column)) for column in zip(*rows, strict=True)]
    columns += [[""] * len(rows) for _ in range(width - len(columns))]
    return columns


class _Proof:
    """Holds what calamine gives against a survey.

    Args:
        title: File and sheet, for messages.
        survey: As for `read_columns`.
        exact: As for `read_columns`.
    """

    def __init__(self, title: str, survey: Survey, exact: Callable[[], Survey] | None) -> None:
        self._title = title
        self._survey = survey
        self._exact = exact

    @property
    def last_row(self) -> int:
        """The number of the last row with content."""
        return len(self._survey.filled)

    def of(self, block: Block) -> Block:
        """The same block with its errors, without the rows below the last one with content.

        Raises:
            InputError: A row has lost cells.
        """
        found = _filled(block)
        if self._exact and (found != self._survey.cells_of(block)).any():
            self._survey, self._exact = self._exact(), None
        self._put_errors(block, found)
        self._put_kind(block, self._survey.formatted, FORMATTED)
        self._put_kind(block, self._survey.computed, ZERO, only="0")
        held = self._survey.cells_of(block)
        for index in np.flatnonzero(found != held).tolist():
            raise _incomplete(self._title, block.row + index, int(held[index]), int(found[index]))
        for index in np.flatnonzero(found == 0).tolist():
            for column in block.columns:
                column[index] = ""
        end = max(0, self.last_row + 1 - block.row)
        return Block(block.row, [column[:end] for column in block.columns])

    def _put_errors(self, block: Block, found: NDArray[np.int64]) -> None:
        for number in self._survey.errors.keys() & range(block.row, block.row + len(block)):
            errors = self._survey.errors[number]
            found[number - block.row] += len(errors)
            for column, error in errors.items():
                block.columns[column - 1][number - block.row] = error

    def _put_kind(
        self, block: Block, places: dict[int, bytearray], kind: str, only: str = ""
    ) -> None:
        """Say of the texts in some places what they are; `only` the one that is given."""
        for column, flags in places.items():
            cells = block.columns[column - 1]
            part = flags[block.row - 1 : block.row - 1 + len(block)]
            for index in np.flatnonzero(np.frombuffer(part, np.uint8)).tolist():
                text = cells[index]
                if type(text) is str and text and only in {"", text}:
                    cells[index] = NotText(text, kind)


def _filled(block: Block) -> NDArray[np.int64]:
    """For each row of a block how many of its cells hold something."""
    found = np.zeros(len(block), np.int64)
    for column in block.columns:
        found += np.fromiter(map(bool, map(str.strip, column)), bool, len(block))
    return found


def _incomplete(title: str, row: int, held: int, found: int) -> InputError:
    return InputError(
        f"{title}, row {row}: {held} cells hold something, but {found} could be read.",
        hint="save the list as CSV.",
    )
