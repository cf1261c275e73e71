"""The format of a results file: its columns, and outcomes and booleans as it spells them."""

from __future__ import annotations

import csv
from array import array
from codecs import BOM_UTF8
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from batch.columns import COLUMNS, HEADERS
from batch.errors import ResultsError
from batch.model import DONE, ID_BYTES, NO_ID, Listing, Outcome, Property, parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np

    Indices = np.ndarray[Any, np.dtype[np.uint32]]


OUTCOMES = tuple(Outcome)
CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}
"""Outcomes as single bytes, for a file of a million rows."""

BOOLEANS = {None: "", True: "true", False: "false"}


class _Encoded:
    """A file for `csv.writer`, made so that its ``writerow`` returns the line in UTF-8."""

    def write(self, text: str) -> bytes:
        return text.encode()


line_of: Callable[[Iterable[str]], bytes] = csv.writer(_Encoded(), lineterminator="\n").writerow
"""The line of a results file that holds these cells."""


_CHUNK = 1 << 18
"""Bytes that are parsed at a time; more would not stay in a processor's cache."""

_LONGEST = 4 << 20
"""Bytes of a line; a run writes none that is longer."""

_ROW, _ID, _KEY, _OUTCOME = (
    COLUMNS.index(name) for name in ("row", "license_id", "license_key", "outcome")
)
_WAS = COLUMNS.index("was_revoked")
_ATTEMPTS = COLUMNS.index("attempts")
_DUPLICATE_OF = COLUMNS.index("duplicate_of")
_FEWEST = _ATTEMPTS + 1
"""Cells of a line; a spreadsheet drops empty ones at its end."""

_SETTLED = bytes(CODES[outcome] for outcome in DONE - {Outcome.EXCLUDED})
"""Outcomes of which the server has told that the license is so."""

_OUTCOME_CODES = {str(outcome): code for outcome, code in CODES.items()}
_WAS_CODES = {text: code for code, text in enumerate(BOOLEANS.values())}
_WAS_CODES |= {text.upper(): code for text, code in _WAS_CODES.items()}  # as spreadsheets spell it


@dataclass(slots=True, eq=False)
class Recorded:
    """The rows of a results file, as its lines have them; columns are parallel, by ascending row.

    Attributes:
        path: The file.
        header: Its column names.
        rows: Row numbers in the input, ascending.
        ids: `ID_BYTES` bytes for each row; zeros where its cell holds no ID.
        keys: The cells of ``license_key``, if any is filled; else empty.
        outcomes: Code of each row's outcome, as in `CODES`.
        was: Code of what the first look found, as `Journal` takes it: 0 for empty, 1 true, 2 false.
        offsets: Where the line that counts begins, in bytes.
        attempts: PATCHes that each row has cost.
        size: Bytes of whole lines; what follows them is torn.
        damaged: Lines that are left out because they cannot be read, or contradict an earlier one.
    """

    path: Path
    header: tuple[str, ...]
    rows: array[int] = field(default_factory=lambda: array("I"))
    ids: bytearray = field(default_factory=bytearray)
    keys: list[str] = field(default_factory=list)
    outcomes: bytearray = field(default_factory=bytearray)
    was: bytearray = field(default_factory=bytearray)
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    attempts: array[int] = field(default_factory=lambda: array("I"))
    size: int = 0
    damaged: int = 0

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a results file.

        Raises:
            ResultsError: It cannot be read, or is no results file.
        """
        try:
            with path.open("rb") as file:
                return cls._read(path, file)
        except OSError as cause:
            raise ResultsError(
                f"{path}: cannot be read: {cause.strerror}", hint="is this the right file?"
            ) from cause

    @classmethod
    def _read(cls, path: Path, file: BinaryIO) -> Self:
        first = file.readline(_LONGEST)
        header = _header(first)
        is_known = header[: len(COLUMNS)] in HEADERS
        if not is_known and b"license_id" in first and b"was_" in first:
            raise ResultsError(
                f"{path}: is no results file of bulk-revoke as a run has written it",
                hint="a program may have saved it with semicolons, or with other columns: save it "
                "with commas, in UTF-8, its first columns as they were.",
            )
        if not is_known or not first.endswith(b"\n"):
            raise ResultsError(
                f"{path}: is no results file of bulk-revoke",
                hint="name the file that a run has written.",
            )
        found = cls(path, header, size=len(first))
        for block, size in _whole_lines(file):
            lines = block.split(b"\n")
            lines.pop()
            starts = array("Q", accumulate((len(line) + 1 for line in lines), initial=found.size))
            starts.pop()
            found._take(lines, starts)
            found.size += size
        found._settle()
        return found

    @property
    def changes(self) -> Property:
        """The property that the run is about."""
        return HEADERS[self.header[: len(COLUMNS)]]

    def __len__(self) -> int:
        """Rows."""
        return len(self.rows)

    def outcome(self, place: int) -> Outcome:
        """Return the outcome of a row."""
        return OUTCOMES[self.outcomes[place]]

    def was_so(self, place: int) -> bool | None:
        """Tell what the first look of the run found of a row's license; None if it saw nothing."""
        return (None, True, False)[self.was[place]]

    def id_bytes(self, place: int) -> bytes:
        """The `ID_BYTES` bytes of a row's ID; zeros where it has none."""
        return bytes(self.ids[ID_BYTES * place : ID_BYTES * (place + 1)])

    def count(self, outcome: Outcome) -> int:
        """Rows with an outcome."""
        return self.outcomes.count(CODES[outcome])

    def cells(self, places: Iterable[int]) -> Iterator[list[str]]:
        """The cells of rows, of each the line that counts; those at its end may be missing.

        Raises:
            ResultsError: The file cannot be read any more.
        """
        try:
            with self.path.open("rb") as file:
                for place in places:
                    file.seek(self.offsets[place])
                    line = file.readline(_LONGEST).decode("utf-8", "replace")
                    yield next(csv.reader([line]), [])
        except (OSError, csv.Error) as cause:
            raise ResultsError(
                f"{self.path}: cannot be read again", hint="is the file being changed?"
            ) from cause

    @property
    def known(self) -> int:
        """Rows whose license is in the account, since some answer has told something of it."""
        return sum(
            was != 0 or code in _SETTLED for was, code in zip(self.was, self.outcomes, strict=True)
        )

    @property
    def is_journal(self) -> bool:
        """Tell whether the run has not come to its end."""
        return CODES[Outcome.PLANNED] in self.outcomes

    def belongs_to(self, listing: Listing, cells: Sequence[str]) -> str:
        """Say why this is not about the rows of a listing; empty if it is.

        Args:
            listing: What the run is to go on with.
            cells: Its keys as they stand in a results file, if it has keys.
        """
        if self.rows != listing.rows:
            return f"it has {len(self):,} rows, the input {len(listing):,} or others"
        if bool(self.keys) != bool(listing.keys):
            return f"it lists licenses by their {'keys' if self.keys else 'IDs'}"
        if listing.keys:
            differ = (i for i, cell in enumerate(cells) if cell != self.keys[i])
            # The cell of a row without a key is not among the keys.
            place = next((i for i in differ if i not in listing.invalid), None)
        elif self.ids == listing.ids:
            place = None
        else:
            ids = listing.ids
            place = next(
                i
                for i in range(len(self))
                if self.id_bytes(i) != ids[ID_BYTES * i : ID_BYTES * (i + 1)]
            )
        return "" if place is None else f"row {self.rows[place]} is about another license in it"

    def _take(self, lines: list[bytes], starts: array[int]) -> None:
        """Add lines; damaged ones among them are found by halving, counted and left out."""
        try:
            self._add(_columns(lines, len(self.header)), starts)
        except (ValueError, KeyError, OverflowError, csv.Error):
            half = len(lines) // 2
            if half == 0:
                self.damaged += 1
                return
            self._take(lines[:half], starts[:half])
            self._take(lines[half:], starts[half:])

    def _add(self, columns: Sequence[Sequence[str]], starts: array[int]) -> None:
        names = columns[_OUTCOME]
        numbers = array("I", map(int, columns[_ROW]))
        outcomes = bytes(map(_OUTCOME_CODES.__getitem__, names))
        was = bytes(map(_WAS_CODES.__getitem__, columns[_WAS]))
        attempts = array("I", (int(cell or 0) for cell in columns[_ATTEMPTS]))
        ids = parse_ids(list(columns[_ID])) or b"".join(
            # What is left of a long cell may read like an ID.
            (name != Outcome.INVALID and parse_id(cell)) or NO_ID
            for cell, name in zip(columns[_ID], names, strict=True)
        )
        if self.keys or any(columns[_KEY]):
            self.keys += [""] * (len(self) - len(self.keys))
            self.keys += columns[_KEY]
        self.rows += numbers
        self.ids += ids
        self.outcomes += outcomes
        self.was += was
        self.attempts += attempts
        self.offsets += starts

    def _settle(self) -> None:
        """Make one row of the lines of each: what it was first, else its last line."""
        import numpy as np  # noqa: PLC0415 - `--help` must not wait for it

        numbers = np.frombuffer(self.rows, np.uint32)
        if (numbers[1:] > numbers[:-1]).all():
            return
        lines = np.argsort(numbers, kind="stable").astype(np.uint32)
        is_first = np.append(True, np.diff(numbers[lines]) != 0)
        row = np.cumsum(is_first, dtype=np.uint32) - 1
        first = lines[is_first]
        same, named = np.ones(len(lines), np.bool_), np.zeros(len(lines), np.bool_)
        for half in np.frombuffer(self.ids, np.uint64).reshape(-1, 2).T:
            same &= half[lines] == half[first][row]
            named |= half[lines] != 0
        if self.keys:
            # A session may find the license of a key that another one could not look up.
            keys = np.fromiter(map(hash, self.keys), np.int64, len(self.keys))
            has_key = np.fromiter(map(bool, self.keys), np.bool_, len(self.keys))
            same = (keys[lines] == keys[first][row]) & (same | has_key[lines])
        self.damaged += len(lines) - int(np.count_nonzero(same))
        last = _last(first, row[same], lines[same])
        identified = _last(first, row[same & named], lines[same & named])
        self.ids = bytearray(np.frombuffer(self.ids, f"V{ID_BYTES}")[identified].tobytes())
        self.keys = [self.keys[line] for line in first.tolist()] if self.keys else []
        self.outcomes = bytearray(np.frombuffer(self.outcomes, np.uint8)[last].tobytes())
        self.was = bytearray(np.frombuffer(self.was, np.uint8)[first].tobytes())
        self.offsets = array("Q", np.frombuffer(self.offsets, np.uint64)[last].tobytes())
        self.attempts = array("I", np.frombuffer(self.attempts, np.uint32)[last].tobytes())
        self.rows = array("I", numbers[first].tobytes())


def _last(first: Indices, row: Indices, lines: Indices) -> Indices:
    """The last line of each row, of some lines by row; its first where none of them is of it."""
    import numpy as np  # noqa: PLC0415 - `--help` must not wait for it

    is_last = np.diff(row, append=len(first)) != 0
    last = first.copy()
    last[row[is_last]] = lines[is_last]
    return last


def _columns(lines: list[bytes], width: int) -> list[list[str]] | list[tuple[str, ...]]:
    """The cells of lines, column by column.

    Raises:
        ValueError: The lines are not all alike, or no rows of a table of that width.
        csv.Error: A quote is not closed.
    """
    block = b"\n".join(lines)
    text = block.decode("utf-8", "replace")
    columns: list[list[str]] | list[tuple[str, ...]]
    if b'"' in block or b"\r" in block:
        rows = list(csv.reader(text.split("\n"), strict=True))
        if len(rows) != len(lines):
            raise ValueError("a quote has swallowed what follows")
        columns = list(zip(*rows, strict=True))
    else:
        # Three times as fast as the module.
        step, *others = {line.count(b",") + 1 for line in lines}
        if others:
            raise ValueError("the lines differ")
        cells = text.replace("\n", ",").split(",")
        columns = [cells[place::step] for place in range(step)]
    # What a power cut leaves behind reads as zeros.
    if b"\0" in block or not _FEWEST <= len(columns) <= width:
        raise ValueError("this is no row")
    return columns


def _header(line: bytes) -> tuple[str, ...]:
    """The cells of a first line; none if it is no line of a table."""
    try:
        return tuple(*csv.reader([line.removeprefix(BOM_UTF8).decode()]))
    except (ValueError, csv.Error):
        return ()


def _whole_lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The lines of a file that end as they should, many at a time, and how many bytes they are.

    An empty line stands for one that is too long to be held in memory.
    """
    rest, skipped = b"", 0
    while data := file.read(_CHUNK):
        end = data.rfind(b"\n") + 1
        if end == 0 and len(rest) < _LONGEST:
            rest += data
        elif end == 0:
            skipped += len(data)
        elif skipped:
            start = data.index(b"\n") + 1
            yield b"\n", len(rest) + skipped + start
            if start < end:
                yield data[start:end], end - start
            rest, skipped = data[end:], 0
        else:
            yield rest + data[:end], len(rest) + end
            rest = data[end:]


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of a results file, and its rows not done.

    Attributes:
        counts: Rows by outcome, in the order of `Outcome`; outcomes without rows are left out.
        licenses: The same without the rows that repeat a license: licenses by outcome.
        undone: The first rows that are not done, as their cells.
        sha256: Hex digest of the file; empty if it is not in its final order.
    """

    counts: dict[Outcome, int]
    licenses: dict[Outcome, int]
    undone: list[list[str]] = field(default_factory=list)
    sha256: str = ""


def write_counted(
    lines: Iterable[bytes], file: BinaryIO, done: Collection[Outcome], most: int
) -> Tally:
    """Write the lines of a results file, its header first, and count what they say.

    What is no row of a results file is not counted: the tally then does not balance.

    Args:
        lines: Each with its line break.
        file: Where they go.
        done: Outcomes with which a row is done.
        most: Rows at most that are kept of those that are not done.
    """
    digest = sha256()

    def written() -> Iterator[str]:
        for line in lines:
            file.write(line)
            digest.update(line)
            yield line.decode("utf-8", "replace")

    rows: Counter[str] = Counter()
    repeats: Counter[str] = Counter()
    undone: list[list[str]] = []
    for cells in islice(csv.reader(written()), 1, None):
        if len(cells) < len(COLUMNS):
            continue
        rows[cells[_OUTCOME]] += 1
        repeats[cells[_OUTCOME]] += bool(cells[_DUPLICATE_OF])
        if len(undone) < most and cells[_OUTCOME] not in done:
            undone.append(cells)
    return Tally(_in_order(rows), _in_order(rows - repeats), undone, digest.hexdigest())


def _in_order(counts: Counter[str]) -> dict[Outcome, int]:
    return {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}
