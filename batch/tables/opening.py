"""Which reader a file needs: its name says what it should be, its content has to agree."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError
from batch.tables.delimited import read_delimited
from batch.tables.stored import STDIN, TEXT, format_of, inflated, open_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from batch.tables.table import Table

_TEXT_ENDINGS = (".csv", ".tsv", ".txt")
_GZIP_ENDINGS = tuple(f"{ending}.gz" for ending in _TEXT_ENDINGS)
_WORKBOOK_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_CHUNK = 1024 * 1024
_KNOWN = " ".join((*_TEXT_ENDINGS, *_WORKBOOK_ENDINGS))


@dataclass(frozen=True, slots=True)
class Tab:
    """A table of a file that can be read.

    Attributes:
        name: Of the worksheet; empty for a text file.
        visible: Whether a person sees it who opens the file.
        read: Reads it; raises `InputError` where that cannot be done in full.
    """

    name: str
    visible: bool
    read: Callable[[], Table]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of a file: the worksheets of a workbook, or the one of a text file.

    Attributes:
        title: The file, for messages.
        tabs: Its tables, in order.
        is_text: Whether it is a text file, which has no sheets.
    """

    title: str
    tabs: Sequence[Tab]
    is_text: bool
    _opened: ExitStack = field(default_factory=ExitStack)

    def choose(self, wanted: str | None) -> Tab:
        """The table that is meant.

        Args:
            wanted: Name of a worksheet, else its number among all of them, counted from 1; None
                for the first visible one.

        Raises:
            InputError: There is no such sheet.
        """
        if wanted is not None and self.is_text:
            raise InputError(f"{self.title} is text and has no sheets.", hint="leave out --sheet.")
        names = ", ".join(f'"{tab.name}"' for tab in self.tabs) or "none"
        if wanted is None:
            for tab in self.tabs:
                if tab.visible:
                    return tab
            raise InputError(
                f"{self.title} has no visible sheet. Sheets: {names}.",
                hint="name one with --sheet.",
            )
        for tab in self.tabs:
            if tab.name == wanted:
                return tab
        if wanted.isdecimal() and 1 <= int(wanted) <= len(self.tabs):
            return self.tabs[int(wanted) - 1]
        raise InputError(
            f'{self.title} has no sheet "{wanted}". Sheets: {names}.',
            hint="name one of these with --sheet.",
        )

    def read(self, tab: Tab) -> Table:
        """The rows of a table; they can be read until the file is closed.

        Raises:
            InputError: Not all of it can be read; also while its rows are read.
        """
        table = tab.read()
        self._opened.callback(table.blocks.close)
        return table


@contextmanager
def open_tables(path: str, *, stdin: BinaryIO | None = None) -> Iterator[Tables]:
    """Open an input; its rows can be read until the context ends.

    Args:
        path: A file, or ``-`` for text on standard input.
        stdin: Where standard input is read from, if not from the process's own.

    Raises:
        InputError: The file cannot be opened, or is not what its name promises.
    """
    title = "standard input" if path == STDIN else path
    ending = ".csv" if path == STDIN else _ending(path)
    with open_stored(path, stdin) as handle, ExitStack() as opened:
        content = format_of(handle)
        handle.seek(0)
        sha256 = _sha256(handle)
        if ending in _WORKBOOK_ENDINGS:
            from batch.tables.workbook import read_sheet, sheets_of  # noqa: PLC0415 - see the package

            tabs = [
                Tab(sheet.name, sheet.visible, partial(read_sheet, sheet, title, sha256))
                for sheet in sheets_of(handle, title, content)
            ]
        else:
            read = _read_gzip if ending in _GZIP_ENDINGS else _read_text
            tabs = [Tab("", True, partial(read, handle, title, sha256, content))]
        yield Tables(title, tabs, ending not in _WORKBOOK_ENDINGS, opened)


def _sha256(handle: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := handle.read(_CHUNK):
        digest.update(chunk)
    handle.seek(0)
    return digest.hexdigest()


def _ending(path: str) -> str:
    name = PurePath(path).name.lower()
    for ending in (*_TEXT_ENDINGS, *_GZIP_ENDINGS, *_WORKBOOK_ENDINGS):
        if name.endswith(ending):
            return ending
    raise InputError(
        f"{path}: its name does not say what it is.",
        hint=f"name it {_KNOWN}, or a text file .csv.gz; write - for CSV on standard input.",
    )


def _read_text(handle: BinaryIO, title: str, sha256: str, content: str) -> Table:
    if content != TEXT:
        raise InputError(
            f"{title} is not a text file: by its content it is {content}.",
            hint="give it the ending that it should have, or save the list as CSV.",
        )

    def open_bytes() -> AbstractContextManager[BinaryIO]:
        handle.seek(0)
        return nullcontext(handle)

    return read_delimited(open_bytes, title, sha256)


def _read_gzip(handle: BinaryIO, title: str, sha256: str, content: str) -> Table:
    if not content.startswith("gzip"):
        raise InputError(
            f"{title} is not compressed: by its content it is {content}.",
            hint="give it the ending that it should have.",
        )
    with inflated(handle, title) as stream:
        inner = format_of(stream)
    if inner != TEXT:
        raise InputError(
            f"{title} does not hold text: what is compressed in it is {inner}.",
            hint="unpack it, or save the list as CSV.",
        )
    return read_delimited(lambda: inflated(handle, title), title, sha256)
