"""Text files: records of cells, read in blocks by pandas.

pandas' C parser is fast, but it stops at a row that is wider than its table, and it holds
everything behind a quote that never closes. From such a place on the `csv` module reads:
slower, record by record, and able to say which row is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from batch.errors import InputError
from batch.input.identifiers import holds_id
from batch.input.table import CELL_LIMIT, HEAD_ROWS, Block, Row, Table, block_of, is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


LINE_LIMIT = 4 * 1024 * 1024
"""Most characters without a line break: 128 of the longest cells."""

_CHUNK = 256 * 1024
_FALLBACK = "cp1252"
_SAVE_AS = "save it as CSV in UTF-8."


def find_encoding(open_bytes: Callable[[], AbstractContextManager[BinaryIO]], title: str) -> str:
    """Read a text file once and return the codec that decodes all of it.

    A byte order mark decides; without one it is UTF-8, or cp1252 where it cannot be UTF-8.

    Raises:
        InputError: Bytes that are not text in that encoding, a NUL character, or a line
            longer than `LINE_LIMIT`.
    """
    with open_bytes() as stream:
        start = stream.read(4)
    candidates = _candidates(start)
    for codec in candidates:
        try:
            _check(open_bytes, codec, title)
        except _NotThisCodecError as failure:
            if codec == candidates[-1]:
                raise InputError(
                    f"{title}: line {failure.line:,} is not text in {' or '.join(candidates)}"
                    f" ({failure.reason}).",
                    hint=_SAVE_AS,
                ) from None
        else:
            return codec
    raise AssertionError(candidates)


def _candidates(start: bytes) -> tuple[str, ...]:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    if start.startswith(codecs.BOM_UTF8):
        return ("utf-8-sig",)
    return ("utf-8", _FALLBACK)


def warning_for(codec: str, title: str) -> str:
    """Return a warning about an encoding that was guessed; empty if it was not."""
    if codec != _FALLBACK:
        return ""
    return f"{title} is not UTF-8; it was read as Windows text (cp1252)."


class _NotThisCodecError(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def _check(
    open_bytes: Callable[[], AbstractContextManager[BinaryIO]], codec: str, title: str
) -> None:
    decoder = codecs.getincrementaldecoder(codec)()
    lines = 1
    length = 0
    with open_bytes() as stream:
        while True:
            chunk = stream.read(_CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                lines += error.object.count(b"\n", 0, error.start)
                raise _NotThisCodecError(lines, error.reason) from None
            if "\0" in text:
                lines += text.count("\n", 0, text.index("\0"))
                raise InputError(f"{title}: NUL character in line {lines:,}.", hint=_SAVE_AS)
            lines += text.count("\n")
            last_break = max(text.rfind("\n"), text.rfind("\r"))
            length = len(text) - last_break - 1 + (length if last_break < 0 else 0)
            if length > LINE_LIMIT:
                raise InputError(
                    f"{title}: line {lines:,} is longer than {LINE_LIMIT:,} characters.",
                    hint="is this a table with one license in each line?",
                )
            if not chunk:
                return


SAMPLE_CHARS = 64 * 1024
"""Characters at the start of a file from which its delimiter is found."""

_BY_PREFERENCE = "\t;|,"
_DEFAULT = ","
_DECLARATION = re.compile(r'"?sep=([,;\t|])"?(?:[\r\n]|$)', re.IGNORECASE)


def declared_delimiter(sample: str) -> str:
    """The delimiter that a first line such as ``sep=;`` names, or empty.

    Spreadsheets obey that line and do not show it: row 1 is the line after it.
    """
    found = _DECLARATION.match(sample)
    return found[1] if found else ""


_FEW = 4
"""Rows, for one with a license ID, in a list of keys with a note on some of them."""


def find_delimiter(sample: str) -> str:
    """The delimiter that makes most whole license IDs, or else most rows of the same width.

    Where few rows hold an ID, or all delimiters make as many, the one wins that cuts most rows
    into the same number of cells. A tie goes to the one that is rarer in prose and numbers:
    ``<id>;3,5`` is cut at the semicolon. A comma is returned where nothing cuts.
    """
    lines = sample.splitlines(keepends=True)
    if len(sample) >= SAMPLE_CHARS:
        lines.pop()
    best, most = _DEFAULT, (0, 0.0)
    for delimiter in _BY_PREFERENCE:
        found = _merit(lines, delimiter)
        if found > most:
            best, most = delimiter, found
    return best


def _merit(lines: list[str], delimiter: str) -> tuple[int, float]:
    """Rows with a whole license ID, and the share of the rows that have the commonest width.

    Widths of two and more are counted.
    """
    try:
        rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if any(cells)]
    except csv.Error:
        return 0, 0.0
    widths = Counter(len(cells) for cells in rows if len(cells) > 1)
    if not widths or _cuts_through_quotes(rows):
        return 0, 0.0
    ids = sum(any(map(holds_id, cells)) for cells in rows)
    return ids if ids * _FEW >= len(rows) else 0, max(widths.values()) / len(rows)


def _cuts_through_quotes(rows: list[list[str]]) -> bool:
    """Tell whether a cell ends in a quote that another cell, cut off from it, has opened."""
    for cells in rows:
        odd = [cell for cell in cells if cell.count('"') % 2]
        if any(cell.endswith('"') for cell in odd[1:]):
            return True
    return False


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
            than `CELL_LIMIT`, a quote never closes, or a cell holds what looks like rows.
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
        self._breaks = 0
        self._last = "\n"

    @property
    def lines(self) -> int:
        """The number of lines; about so many where they end in different ways."""
        return self._breaks + (self._last not in "\r\n")

    def read(self, size: int = -1) -> str:
        self._left -= size
        if self._left < 0:
            raise _SwallowedError
        text = self._text.read(size)
        self._breaks += text.count("\n") or text.count("\r")
        self._last = text[-1:] or self._last
        return text

    def __iter__(self) -> Iterator[str]:
        # pandas takes only an iterable for a file; its C parser never iterates.
        return iter(self._text)

    def next_block(self) -> None:
        self._left = _FEED_LIMIT


class _Lines:
    """The lines of a text, and which of them were read since the last look."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.held.append(line)
        return line


_QUOTES = (
    'export it with each quote within a cell as "" and that cell in quotes (R: qmethod="double";'
    " psql: FORMAT csv; sqlite3: -csv; MySQL, MariaDB: ESCAPED BY '\"', with COALESCE for NULL)."
)


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
            yield from self._record_by_record(0, width)
            return
        import pandas as pd  # noqa: PLC0415 - half a second that short lists do not need

        done = 0
        try:
            for columns in self._parsed_by_pandas(width):
                self._check_cells(done, columns)
                yield Block(done + 1, columns)
                done += len(columns[0])
        except (pd.errors.ParserError, _SwallowedError):
            yield from self._record_by_record(done, width)

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
                rows = 0
                for chunk in chunks:
                    if chunk.empty:
                        break
                    rows += len(chunk)
                    yield [chunk[column].tolist() for column in range(width)]
                    feed.next_block()
        if feed.lines > rows:
            self._check_rows_of_several_lines()

    def _check_rows_of_several_lines(self) -> None:
        with self._text() as text:
            for _ in self._records(text):
                pass

    def _record_by_record(self, done: int, width: int) -> Iterator[Block]:
        with self._text() as text:
            records = islice(self._records(text), done, None)
            while rows := list(islice(records, _RECORDS_AT_ONCE)):
                rows[0] += [""] * (width - len(rows[0]))
                yield block_of(done + 1, rows)
                done += len(rows)

    def _records(self, text: TextIO) -> Iterator[list[str]]:
        """The records from the first one on, each at least one cell wide.

        Raises:
            InputError: A cell is too long, a quote never closes, or rows stand within a cell.
        """
        # Two cells behind the last line: one cell only if a quote is still open there.
        end = [_END, _END]
        lines = _Lines(chain(text, [self.delimiter.join(end)]))
        reader = csv.reader(lines, delimiter=self.delimiter)
        row = 0
        while True:
            row += 1
            lines.held.clear()
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
            if len(lines.held) > 1 and self._has_swallowed(cells, lines.held):
                raise InputError(
                    f"{self.title}, row {row:,}: by its quotes it goes on over"
                    f" {len(lines.held):,} lines, which look like rows of their own.",
                    hint=_QUOTES,
                )
            yield cells or [""]

    def _has_swallowed(self, cells: list[str], lines: list[str]) -> bool:
        """Tell whether a row may have taken in the lines below by a quote that opens no cell.

        Text behind a closing quote says so: that one opens a cell. So do whole cells in a cell: a
        license ID, or what a tab or a pipe sets apart, which texts of several lines hardly hold.
        """
        try:
            next(csv.reader(iter(lines), delimiter=self.delimiter, strict=True))
        except csv.Error:
            return True
        return any(
            self.delimiter in "\t|" or any(map(holds_id, line.split(self.delimiter)))
            for cell in cells
            for line in cell.splitlines()[1:]
            if self.delimiter in line
        )

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
