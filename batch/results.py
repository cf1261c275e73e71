"""The results file: a journal while the run goes on, one line per row in input order at its end.

The last line of a row counts. A line is handed to the operating system before its license is
counted, so killing the process loses nothing; it is forced to the disk once a second. Text from
outside has its line breaks escaped: one line of the file is one line of the table.
"""

from __future__ import annotations

import csv
import io
import mmap
import os
from array import array
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import ResultsError
from batch.model import Outcome, Status
from batch.replace import replacing
from batch.text import cell, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from batch.model import Listing

COLUMNS = (
    "row",
    "license_id",
    "license_key",
    "outcome",
    "revoked",
    "was_revoked",
    "http_status",
    "error_code",
    "error",
    "attempts",
    "finished_at",
    "duplicate_of",
)
"""The header of a results file; the carried columns of the input follow."""

_OUTCOMES = tuple(Outcome)
_CODES = {outcome: code for code, outcome in enumerate(_OUTCOMES)}
_BOOLEANS = {None: "", True: "true", False: "false"}


def check_free(path: Path) -> None:
    """Refuse a results path that cannot be written, or that holds something already.

    Raises:
        ResultsError: Nothing was written.
    """
    try:
        _check_free(path)
    except OSError as cause:
        raise ResultsError(
            f"{path}: cannot be used: {cause.strerror}", hint="name another file with --output."
        ) from cause


def _check_free(path: Path) -> None:
    if path.is_dir():
        raise ResultsError(f"{path}: is a directory", hint="name a file with --output.")
    if path.exists() or path.is_symlink():
        raise ResultsError(
            f"{path}: exists already",
            hint="move it away, or name another file with --output.",
        )
    if path.suffix.lower() in {".gz", ".ods", ".xls", ".xlsb", ".xlsm", ".xlsx"}:
        raise ResultsError(
            f"{path}: results are written as CSV, not as {path.suffix}",
            hint="name a file that ends in .csv with --output.",
        )
    if not path.parent.is_dir():
        raise ResultsError(f"{path}: no such directory: {path.parent}", hint="make it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ResultsError(
            f"{path}: the directory cannot be written", hint="name a file with --output."
        )


class Journal:
    """Writes the results file of one run.

    Args:
        path: The results file; must not exist.
        listing: The input's entries; a license that repeats is settled with its first row.
        redact: Takes secrets out of a text from outside.
        now: Wall clock, for ``finished_at``.

    Attributes:
        path: The results file.
    """

    def __init__(
        self,
        path: Path,
        listing: Listing,
        *,
        redact: Callable[[str], str] = str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self._listing = listing
        self._redact = redact
        self._now = now
        self._outcomes = bytearray([_CODES[Outcome.PLANNED]]) * len(listing)
        self._offsets = array("Q", bytes(8 * len(listing)))
        self._owed: dict[int, tuple[int, bytes]] = {}
        self._repeats = _repeats(listing)
        self._line = io.StringIO()
        self._csv = csv.writer(self._line, lineterminator="\n")
        try:
            self._file = path.open("x+b", buffering=0)
        except OSError as cause:
            raise ResultsError(
                f"{path}: cannot be written: {cause.strerror}", hint="name a file with --output."
            ) from cause
        self._size = 0

    def plan(self, statuses: Iterable[Status]) -> None:
        """Write the header and the first line of every entry, in input order: what the plan says.

        Raises:
            OSError: Not all of it is in the file.
        """
        self._write(self._text([*COLUMNS, *map(self._outside, self._listing.carry)]))
        lines, start = [], self._size
        for entry, status in enumerate(statuses):
            lines.append(self._row(entry, status, ""))
            self._outcomes[entry] = _CODES[status.outcome]
            self._offsets[entry] = start
            start += len(lines[-1])
            if len(lines) == 4096:
                self._write(b"".join(lines))
                lines.clear()
        self._write(b"".join(lines))
        self.sync()

    def record(self, entry: int, status: Status) -> None:
        """Write how a license stands, for its row and for the rows that repeat it.

        Raises:
            OSError: No line of it is in the file; it will be in the one that `finish` writes.
        """
        finished = timestamp(self._now())
        entries = (entry, *self._repeats.get(entry, ()))
        lines = [self._row(each, status, finished) for each in entries]
        code = _CODES[status.outcome]
        start = self._size
        try:
            self._write(b"".join(lines))
        except OSError:
            self._owed.update(
                (each, (code, line)) for each, line in zip(entries, lines, strict=True)
            )
            raise
        for each, line in zip(entries, lines, strict=True):
            self._offsets[each] = start
            self._outcomes[each] = code
            self._owed.pop(each, None)
            start += len(line)

    def sync(self) -> None:
        """Force what was written to the disk; slow, and safe to call from a thread."""
        os.fsync(self._file.fileno())

    def counts(self) -> dict[Outcome, int]:
        """Rows by outcome, in the order of `Outcome`; outcomes without rows are left out."""
        found = Counter(self._outcomes)
        return {outcome: found[code] for code, outcome in enumerate(_OUTCOMES) if found[code]}

    def finish(self) -> None:
        """Replace the journal by one line for each row, in input order; all or nothing.

        Rows that are still planned become ``not_attempted``.

        Raises:
            OSError: The journal stands as it was.
        """
        with replacing(self.path) as final:
            self._copy_in_order(final)
        for entry, (code, _) in self._owed.items():
            self._outcomes[entry] = code
        for entry, code in enumerate(self._outcomes):
            if code == _CODES[Outcome.PLANNED]:
                self._outcomes[entry] = _CODES[Outcome.NOT_ATTEMPTED]

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._file.close()

    def _copy_in_order(self, final: BinaryIO) -> None:
        # The journal is read through its own descriptor: whatever somebody has put into its
        # place meanwhile, these are the lines that were written.
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            final.write(lines[: lines.find(b"\n") + 1])
            for entry, code in enumerate(self._outcomes):
                start = self._offsets[entry]
                if entry in self._owed:
                    final.write(self._owed[entry][1])
                elif code == _CODES[Outcome.PLANNED]:
                    final.write(self._row(entry, Status(Outcome.NOT_ATTEMPTED), ""))
                else:
                    final.write(lines[start : lines.find(b"\n", start) + 1])

    def _write(self, data: bytes) -> None:
        """Append; a part that a full disk let through is taken back."""
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            self._file.seek(self._size)
            self._file.truncate()
            raise
        self._size += len(data)

    def _row(self, entry: int, status: Status, finished: str) -> bytes:
        listing = self._listing
        invalid = listing.invalid.get(entry)
        repeats = listing.repeats(entry)
        cells = [
            str(listing.rows[entry]),
            listing.license_id(entry) if invalid is None else self._outside(invalid),
            "",
            str(status.outcome),
            _BOOLEANS[status.revoked],
            "",
            "" if status.http_status is None else str(status.http_status),
            self._outside(status.error_code),
            self._outside(status.error),
            "" if status.attempts == 0 else str(status.attempts),
            finished,
            str(listing.rows[listing.first[entry]]) if repeats else "",
        ]
        if listing.carried:
            cells.extend(map(self._outside, listing.carried[entry]))
        return self._text(cells)

    def _outside(self, text: str) -> str:
        """Text from outside as a cell; a cut must not leave half of a secret."""
        return cell(self._redact(text))

    def _text(self, cells: list[str]) -> bytes:
        self._csv.writerow(cells)
        text = self._line.getvalue()
        self._line.seek(0)
        self._line.truncate()
        return text.encode()


def _repeats(listing: Listing) -> dict[int, list[int]]:
    """Entries that repeat an earlier one, by that one."""
    found: dict[int, list[int]] = {}
    for entry, first in enumerate(listing.first):
        if entry != first:
            found.setdefault(first, []).append(entry)
    return found
