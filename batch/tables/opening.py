"""Which reader a file needs: its name says what it should be, its content has to agree."""

from __future__ import annotations

import hashlib
from contextlib import closing, contextmanager, nullcontext
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError
from batch.tables.delimited import read_delimited
from batch.tables.stored import STDIN, TEXT, format_of, inflated, open_stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from batch.tables.table import Table

_TEXT_ENDINGS = (".csv", ".tsv", ".txt")
_GZIP_ENDINGS = tuple(f"{ending}.gz" for ending in _TEXT_ENDINGS)
_WORKBOOK_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_CHUNK = 1024 * 1024
_KNOWN = " ".join((*_TEXT_ENDINGS, *_WORKBOOK_ENDINGS))


@contextmanager
def open_table(
    path: str, *, sheet: str | None = None, stdin: BinaryIO | None = None
) -> Iterator[Table]:
    """Open an input; its rows can be read until the context ends.

    Args:
        path: A file, or ``-`` for text on standard input.
        sheet: Name of a worksheet or its number, counted from 1; None for the first visible.
        stdin: Where standard input is read from, if not from the process's own.

    Raises:
        InputError: The file cannot be opened, or is not what its name promises; also while
            rows are read.
    """
    title = "standard input" if path == STDIN else path
    ending = ".csv" if path == STDIN else _ending(path)
    if sheet is not None and ending not in _WORKBOOK_ENDINGS:
        raise InputError(f"{title} is text and has no sheets.", hint="leave out --sheet.")
    with open_stored(path, stdin) as handle:
        content = format_of(handle)
        handle.seek(0)
        sha256 = _sha256(handle)
        if ending in _WORKBOOK_ENDINGS:
            from batch.tables.workbook import read_workbook  # noqa: PLC0415 - see the package

            table = read_workbook(handle, title, sha256, content, sheet)
        elif ending in _GZIP_ENDINGS:
            table = _read_gzip(handle, title, sha256, content)
        else:
            table = _read_text(handle, title, sha256, content)
        with closing(table.blocks):
            yield table


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
