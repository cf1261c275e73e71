"""Text files: records of cells, read in blocks by pandas.

pandas' C parser is fast, but it stops at a row that is wider than its table, and it holds
everything behind a quote that never closes. From such a place on the `csv` module reads:
slower, record by record, and able to say which row is wrong.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from batch.errors import InputError
from batch.tables.delimiter import SAMPLE_CHARS, declared_delimiter, find_delimiter
from batch.tables.encoding import find_encoding, warning_for
from batch.tables.table import CELL_LIMIT, HEAD_ROWS, Block, Row, Table, block_of, is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

_BLOCK_ROWS = 16_384
_RECORDS_AT_ONCE = 4_096
_FEED_LIMIT = 32 * 1024 * 1024
"""Characters that pandas may take in for one block: two thousand for each row of it."""

_SMALL = SAMPLE_CHARS
"""Characters of a text that the `csv` module has read before pandas would be imported."""

_END = "\0"


def read_delimited(
    open_bytes: Callable[[], AbstractContextManager[BinaryIO]], title: str, sha256: str
) -> Table:
    """The rows of a text file.

    Args:
        open_bytes: Opens the text's bytes at their start; called more than once.
        title: The file, for messages.
        sha256: Hex digest of the file as it is stored.

    Raises:
        InputError: It is not text, or (also while `Table.blocks` is read) a cell is longer
            than `CELL_LIMIT` or a quote never closes.
    """
    codec = find_encoding(open_bytes, title)
    with _decoded(open_bytes, codec) as text:
        sample = text.read(SAMPLE_CHARS)
    declared = declared_delimiter(sample)
    source = _Delimited(
        open_bytes=open_bytes,
        codec=codec,
        title=title,
        delimiter=declared or find_delimiter(sample),
        lines_before=1 if declared else 0,
        is_small=len(sample) < _SMALL,
    )
    head, width = source.head()
    warning = warning_for(codec, title)
    return Table(
        title=title,
        sha256=sha256,
        head=head,
        blocks=source.blocks(width),
        warnings=(warning,) if warning else (),
    )


@contextmanager
def _decoded(
    open_bytes: Callable[[], AbstractContextManager[BinaryIO]], codec: str
) -> Iterator[TextIO]:
    """The text from its start, with its line breaks as they are."""
    with open_bytes() as stream:
        text = io.TextIOWrapper(stream, codec, newline="")
        try:
            yield text
        finally:
            text.detach()


class _SwallowedError(Exception):
    """A block has taken in more text than rows of a usual length can hold."""


class _Feed:
    """The text as pandas reads it, block by block."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._left = _FEED_LIMIT

    def read(self, size: int = -1) -> str:
        self._left -= size
        if self._left < 0:
            raise _SwallowedError
        return self._text.read(size)

    def __iter__(self) -> Iterator[str]:
        # pandas takes only an iterable for a file; its C parser never iterates.
        return iter(self._text)

    def next_block(self) -> None:
        self._left = _FEED_LIMIT


@dataclass(frozen=True, slots=True)
class _Delimited:
    open_bytes: Callable[[], AbstractContextManager[BinaryIO]]
    codec: str
    title: str
    delimiter: str
    lines_before: int
    is_small: bool

    @contextmanager
    def _text(self) -> Iterator[TextIO]:
        with _decoded(self.open_bytes, self.codec) as text:
            for _ in range(self.lines_before):
                text.readline()
            yield text

    def head(self) -> tuple[list[Row], int]:
        """The first rows with content, and the most cells in a row up to the last of them.

        The first row of all counts, blank or not: pandas drops what it has too many.
        """
        head: list[Row] = []
        width = 1
        with self._text() as text:
            for number, cells in enumerate(self._records(text), start=1):
                width = max(width, len(cells))
                if not is_blank(cells):
                    head.append(Row(number, cells))
                    if len(head) == HEAD_ROWS:
                        break
        return head, width

    def blocks(self, width: int) -> Generator[Block]:
        """All rows; those that are wider than `width` come in wider blocks."""
        if self.is_small:
            yield from self._record_by_record(0)
            return
        import pandas as pd  # noqa: PLC0415 - half a second that short lists do not need

        done = 0
        try:
            for columns in self._parsed_by_pandas(width):
                self._check_cells(done, columns)
                yield Block(done + 1, columns)
                done += len(columns[0])
        except (pd.errors.ParserError, _SwallowedError):
            yield from self._record_by_record(done)

    def _parsed_by_pandas(self, width: int) -> Iterator[list[list[str]]]:
        import pandas as pd  # noqa: PLC0415

        with self._text() as text:
            feed = _Feed(text)
            with pd.read_csv(
                cast("TextIO", feed),
                sep=self.delimiter,
                header=None,
                names=range(width),
                index_col=False,
                dtype=object,
                na_filter=False,
                skip_blank_lines=False,
                chunksize=_BLOCK_ROWS,
            ) as chunks:
                for chunk in chunks:
                    if chunk.empty:
                        return
                    yield [chunk[column].tolist() for column in range(width)]
                    feed.next_block()

    def _record_by_record(self, done: int) -> Iterator[Block]:
        with self._text() as text:
            records = islice(self._records(text), done, None)
            while rows := list(islice(records, _RECORDS_AT_ONCE)):
                yield block_of(done + 1, rows)
                done += len(rows)

    def _records(self, text: TextIO) -> Iterator[list[str]]:
        """The records from the first one on, each at least one cell wide.

        Raises:
            InputError: A cell is too long, or a quote never closes.
        """
        # Two cells behind the last line: one cell only if a quote is still open there.
        end = [_END, _END]
        reader = csv.reader(chain(text, [self.delimiter.join(end)]), delimiter=self.delimiter)
        row = 0
        while True:
            row += 1
            try:
                cells = next(reader)
            except csv.Error:
                raise self._too_long(row) from None
            if cells == end:
                return
            if cells and cells[-1].endswith(_END):
                raise InputError(
                    f"{self.title}, row {row:,}: a quote opens here and never closes.",
                    hint='close it, or write a quote that belongs to the text as "".',
                )
            if any(len(cell) > CELL_LIMIT for cell in cells):
                raise self._too_long(row)
            yield cells or [""]

    def _too_long(self, row: int) -> InputError:
        return InputError(
            f"{self.title}, row {row:,}: a cell is longer than {CELL_LIMIT:,} characters.",
            hint="shorten it, or look for a quote in this row that never closes.",
        )

    def _check_cells(self, done: int, columns: list[list[str]]) -> None:
        for column in columns:
            if max(map(len, column)) > CELL_LIMIT:
                row = next(i for i, cell in enumerate(column, 1) if len(cell) > CELL_LIMIT)
                raise self._too_long(done + row)
