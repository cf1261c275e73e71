"""The choice of a file's reader: its name says what it should be, its content has to agree."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tempfile
import zlib
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO, cast

from batch.errors import InputError
from batch.formatting import plain
from batch.input import foreign
from batch.input.delimited import read_delimited
from batch.input.table import SIZE_LIMIT, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_TEXT_ENDINGS = (".csv", ".tsv", ".txt")
_GZIP_ENDINGS = tuple(f"{ending}.gz" for ending in _TEXT_ENDINGS)
WORKBOOK_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
"""Endings of workbooks, in lower case."""

_CHUNK = 1024 * 1024
_KNOWN = " ".join((*_TEXT_ENDINGS, *WORKBOOK_ENDINGS))
_NAME_IT = f"name it {_KNOWN}, or a text file .csv.gz; write - for CSV on standard input."


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
        names = ", ".join(f'"{plain(tab.name)}"' for tab in self.tabs) or "none"
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
        if known := foreign.BY_NAME.get(content):
            raise known.refusal(title, "content")
        if not ending:
            raise InputError(f"{path}: its name does not say what it is.", hint=_NAME_IT)
        handle.seek(0)
        sha256 = _sha256(handle)
        if ending in WORKBOOK_ENDINGS:
            from batch.input.workbook import read_sheet, sheets_of  # noqa: PLC0415 - text needs none

            tabs = [
                Tab(sheet.name, sheet.visible, partial(read_sheet, sheet, title, sha256))
                for sheet in sheets_of(handle, title, content)
            ]
        else:
            read = _read_gzip if ending in _GZIP_ENDINGS else _read_text
            tabs = [Tab("", True, partial(read, handle, title, sha256, content))]
        yield Tables(title, tabs, ending not in WORKBOOK_ENDINGS, opened)


def _sha256(handle: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := handle.read(_CHUNK):
        digest.update(chunk)
    handle.seek(0)
    return digest.hexdigest()


def _ending(path: str) -> str:
    """The ending of a name, if it is that of a format that is read; else empty.

    Raises:
        InputError: It is the ending of a format that is known, and not read.
    """
    name = PurePath(path).name.lower()
    for ending in (*_TEXT_ENDINGS, *_GZIP_ENDINGS, *WORKBOOK_ENDINGS):
        if name.endswith(ending):
            return ending
    if known := foreign.by_ending(path):
        raise known.refusal(path, "name")
    return ""


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
    if known := foreign.BY_NAME.get(inner):
        raise known.refusal(f"What is compressed in {title}", "content")
    if inner != TEXT:
        raise InputError(
            f"{title} does not hold text: what is compressed in it is {inner}.",
            hint="unpack it, or save the list as CSV.",
        )
    return read_delimited(lambda: inflated(handle, title), title, sha256)


STDIN = "-"
_TOO_LARGE = f"holds more than {SIZE_LIMIT // 1024**2} MB"
_SPLIT_HINT = "split it into several files."

TEXT = "plain text"
ZIP = "a zip archive"
OLE = "an OLE file"

# First bytes of each format. Sources: APPNOTE.TXT 4.3 (zip), [MS-CFB] 2.2 (OLE),
# RFC 1952 2.3.1 (gzip), [MS-XLS] 2.4.21 (BIFF 2 to 5 without OLE).
_SIGNATURES = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x09\x08", "an Excel file of before 1997"),
    (b"\x09\x04", "an Excel file of before 1997"),
    (b"\x09\x02", "an Excel file of before 1997"),
    (b"\x09\x00", "an Excel file of before 1997"),
    *((start, known.name) for known in foreign.FORMATS for start in known.starts),
)
_MARKUP = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<head", "an HTML page"),
    (b"<meta", "an HTML page"),
    (b"<table", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"<workbook", "an XML document"),
)
_JSON = re.compile(rb'\s*(\[\s*)?\{\s*"|\s*\[\s*"')


@contextmanager
def open_stored(path: str, stdin: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `STDIN`, so that it can be read more than once.

    Raises:
        InputError: There is no such file, it is not readable, or larger than `SIZE_LIMIT`.
    """
    if path == STDIN:
        with _spooled(stdin or sys.stdin.buffer) as handle:
            yield handle
        return
    if not path:
        raise InputError('"" names no file.', hint="name one, or leave it out.")
    try:
        handle = Path(path).open("rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.", hint="check the path.") from None
    except IsADirectoryError:
        raise InputError(
            f"{path} is a directory.", hint="name the file that lists the licenses."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path} cannot be read: {reason}.", hint="check the path and who may read it."
        ) from None
    with handle:
        if not handle.seekable():
            raise InputError(
                f"{path} can be read only once.", hint='hand it over on standard input, as "-".'
            )
        if handle.seek(0, io.SEEK_END) > SIZE_LIMIT:
            raise InputError(f"{path} {_TOO_LARGE}.", hint=_SPLIT_HINT)
        handle.seek(0)
        yield handle


@contextmanager
def _spooled(stdin: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as copy:
        size = 0
        while chunk := stdin.read(_CHUNK):
            size += len(chunk)
            if size > SIZE_LIMIT:
                raise InputError(f"standard input {_TOO_LARGE}.", hint=_SPLIT_HINT)
            copy.write(chunk)
        copy.seek(0)
        yield cast("BinaryIO", copy)


def format_of(stream: BinaryIO) -> str:
    """Name the format that the first bytes show, as a message has it; `TEXT` where none does."""
    start = stream.read(4096)
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    markup = start.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").strip(b"\xff\xfe \t\r\n")
    for signature, name in _MARKUP:
        if markup[:20].lower().startswith(signature):
            return name
    return "JSON" if _JSON.match(markup) else TEXT


@contextmanager
def inflated(handle: BinaryIO, title: str) -> Iterator[BinaryIO]:
    """Read a gzip file from its start.

    Raises:
        InputError: It is damaged, or larger than `SIZE_LIMIT` once inflated.
    """
    handle.seek(0)
    with gzip.open(handle) as stream:
        yield cast("BinaryIO", _Inflating(stream, title))


class _Inflating(io.RawIOBase):
    """A gzip stream that refuses to yield more than `SIZE_LIMIT` bytes."""

    def __init__(self, stream: gzip.GzipFile, title: str) -> None:
        self._stream = stream
        self._title = title
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{self._title} is damaged: it cannot be inflated ({error}).",
                hint="copy or download it again.",
            ) from None
        self._size += len(data)
        if self._size > SIZE_LIMIT:
            raise InputError(f"{self._title} {_TOO_LARGE} once inflated.", hint=_SPLIT_HINT)
        buffer[: len(data)] = data
        return len(data)
