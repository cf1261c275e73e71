"""The input's bytes: opened, counted, recognised and hashed before anything is parsed."""

from __future__ import annotations

import gzip
import io
import sys
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from batch.errors import InputError
from batch.tables.table import SIZE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = "-"
_CHUNK = 1024 * 1024
_TOO_LARGE = f"holds more than {SIZE_LIMIT // 1024**2} MB"
_SPLIT_HINT = "split it into several files."

TEXT = "plain text"
ZIP = "a zip archive"
OLE = "an OLE file"

# First bytes of each format. Sources: APPNOTE.TXT 4.3 (zip), [MS-CFB] 2.2 (OLE),
# RFC 1952 2.3.1 (gzip), ISO 32000 7.5.2 (PDF), [MS-XLS] 2.4.21 (BIFF 2 to 5 without OLE).
_SIGNATURES = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x09\x08", "an Excel file of before 1997"),
    (b"\x09\x04", "an Excel file of before 1997"),
    (b"\x09\x02", "an Excel file of before 1997"),
    (b"\x09\x00", "an Excel file of before 1997"),
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
    """What the first bytes say this is, in words for a message; `TEXT` where nothing does."""
    start = stream.read(4096)
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    markup = start.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").strip(b"\xff\xfe \t\r\n")
    for signature, name in _MARKUP:
        if markup[:20].lower().startswith(signature):
            return name
    return TEXT


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
