"""The results file: a journal while the run goes on, one line per row in input order at its end.

The last line of a row counts. A line is handed to the operating system before its license is
counted, so killing the process loses nothing; it is forced to the disk once a second. Text from
outside has its line breaks escaped: one line of the file is one line of the table.
"""

from __future__ import annotations

import csv
import errno
import io
import mmap
import os
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from batch.columns import COLUMNS
from batch.formatting import cell, timestamp
from batch.host.files import creating, replacing
from batch.model import ID_BYTES, Listing, Outcome, RowResult
from batch.results.csv_file import BOOLEANS, CODES, OUTCOMES, Recorded, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


_WAS = tuple(BOOLEANS)
_WAITING = frozenset({Outcome.PLANNED, Outcome.NOT_ATTEMPTED})
"""Outcomes of rows that are not settled: they have no ``finished_at``."""

_REPEATED = COLUMNS.index("duplicate_of") - 1
"""Cells after the row number that a row has in common with those that repeat it."""


class Journal:
    """Writes the results file of one run; `create` or `resume` comes first.

    Args:
        path: The results file.
        listing: The input's entries; a license that repeats is settled with its first row.
        was: For each entry the place of its ``was_revoked`` in (None, True, False).
        redact: Takes secrets out of a text from outside.
        now: Wall clock, for ``finished_at``.

    Attributes:
        path: The results file.
    """

    def __init__(
        self,
        path: Path,
        listing: Listing,
        was: bytearray,
        *,
        redact: Callable[[str], str] = str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self._listing = listing
        self._was = was
        self._redact = redact
        self._now = now
        self._outcomes = bytearray([CODES[Outcome.PLANNED]]) * len(listing)
        self._offsets = array("Q", bytes(8 * len(listing)))
        self._attempts = array("I")
        self._before: dict[int, tuple[int, int]] = {}
        self._owed: dict[int, tuple[int, bytes]] = {}
        self._repeats = listing.repeated()
        self._file: BinaryIO = io.BytesIO()
        self._size = 0

    def create(self, row_results: Iterable[RowResult | None]) -> None:
        """Put a file in place that holds what the plan says of every entry, in input order.

        It appears with all of its lines, on the disk, or not at all.

        Raises:
            OSError: There is no file; or there is one already that has not been touched.
        """
        with creating(self.path) as file:
            header = line_of([*COLUMNS, *map(self._outside, self._listing.carry)])
            self._size = file.write(header)
            finished = timestamp(self._now())
            for entry, result in enumerate(row_results):
                assert result is not None
                self._offsets[entry] = self._size
                self._outcomes[entry] = CODES[result.outcome]
                self._size += file.write(self._row(entry, result, finished))
        self._open()

    def resume(self, recorded: Recorded, row_results: Iterable[RowResult | None]) -> None:
        """Go on with a file that an earlier session has left.

        A row result is what is known now of an entry; None where nothing is new.

        Raises:
            OSError: It cannot be written.
        """
        self._outcomes[:] = recorded.outcomes
        self._offsets[:] = recorded.offsets
        self._attempts = recorded.attempts
        self._size = recorded.size
        self._open()
        self._file.truncate(self._size)
        self._take_over()
        for entry, result in enumerate(row_results):
            if result is None or self._listing.repeats(entry):
                pass
            elif result.outcome is Outcome.PLANNED:
                self._plan_again(entry, result)
            elif result.outcome not in _WAITING:
                self.record((entry, result))
        self.sync()

    def _take_over(self) -> None:
        """Write how the rows stand that a cut has left behind the row that they repeat."""
        rows, carried = self._listing.rows, self._listing.carried
        for entry, repeats in self._repeats.items():
            behind = [each for each in repeats if self._outcomes[each] != self._outcomes[entry]]
            if not behind:
                continue
            self._file.seek(self._offsets[entry])
            _, *cells = next(csv.reader([self._file.readline().decode("utf-8", "replace")]))
            self._file.seek(self._size)
            cells = [*cells, ""][:_REPEATED]  # a spreadsheet drops an empty cell at the end
            for each in behind:
                own = map(self._outside, carried[each]) if carried else ()
                self._offsets[each], self._outcomes[each] = self._size, self._outcomes[entry]
                self._write(line_of([str(rows[each]), *cells, str(rows[entry]), *own]))

    def _plan_again(self, entry: int, result: RowResult) -> None:
        """Say that a license will be sent, so that after a kill it is known to be in doubt."""
        if result.error:  # it is in doubt already, and is so still if it is not sent
            self.record((entry, replace(result, outcome=Outcome.UNKNOWN)))
        if OUTCOMES[self._outcomes[entry]] not in _WAITING:
            for each in (entry, *self._repeats.get(entry, ())):
                self._before[each] = self._outcomes[each], self._offsets[each]
        if self._outcomes[entry] != CODES[Outcome.PLANNED]:
            self.record((entry, result))

    def _open(self) -> None:
        self._file = self.path.open("r+b", buffering=0)
        self._file.seek(self._size)

    def record(self, *row_results: tuple[int, RowResult]) -> None:
        """Write how entries stand, each for its row and for the rows that repeat it.

        Raises:
            OSError: No line of it is in the file; it will be in the one that `finish` writes.
        """
        finished = timestamp(self._now())
        lines: list[tuple[int, int, bytes]] = []
        for entry, result in row_results:
            if self._attempts and (before := self._attempts[entry]):
                result = replace(result, attempts=result.attempts + before)  # noqa: PLW2901
            code = CODES[result.outcome]
            entries = (entry, *self._repeats.get(entry, ()))
            lines += [(each, code, self._row(each, result, finished)) for each in entries]
        start = self._size
        try:
            self._write(b"".join([line for _, _, line in lines]))
        except OSError:
            for entry, code, line in lines:
                self._owed[entry] = code, line
            raise
        for entry, code, line in lines:
            self._offsets[entry] = start
            self._outcomes[entry] = code
            self._owed.pop(entry, None)
            start += len(line)

    def sync(self) -> None:
        """Force what was written to the disk; slow, and safe to call from a thread.

        Raises:
            OSError: It cannot be forced, or the file does not stand at its place any more.
        """
        os.fsync(self._file.fileno())
        if not self.is_in_place():
            raise OSError(errno.ENOENT, "the file is gone from its place")

    def is_in_place(self) -> bool:
        """Tell whether the file being written still stands at its path, as long as it should be."""
        size = self._size
        try:
            here = self.path.stat()
            return os.path.samestat(here, os.fstat(self._file.fileno())) and here.st_size >= size
        except OSError:
            return False

    def counts(self, *, repeats: bool = True) -> dict[Outcome, int]:
        """Rows by outcome, in the order of `Outcome`; outcomes without rows are left out.

        Args:
            repeats: Whether rows that repeat a license are counted; else it is licenses.
        """
        found = Counter(self._outcomes)
        if not repeats:
            found -= Counter(
                self._outcomes[each] for more in self._repeats.values() for each in more
            )
        return {outcome: found[code] for code, outcome in enumerate(OUTCOMES) if found[code]}

    def finish(self) -> None:
        """Replace the journal by one line for each row, in input order; all or nothing.

        Rows that are still planned become ``not_attempted``, or what they were before.

        Raises:
            OSError: The journal stands as it was.
        """
        with replacing(self.path) as final:
            self._copy_in_order(final)
        for entry in range(len(self._outcomes)):
            code = self._owed[entry][0] if entry in self._owed else self._end_of(entry)[0]
            is_left = code == CODES[Outcome.PLANNED]
            self._outcomes[entry] = CODES[Outcome.NOT_ATTEMPTED] if is_left else code

    def cut_back(self, size: int) -> None:
        """Take back what was written beyond so many bytes, where that is possible."""
        with suppress(OSError):
            self._file.truncate(min(size, self._file.seek(0, os.SEEK_END)))

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._file.close()

    def _copy_in_order(self, final: BinaryIO) -> None:
        # The journal is read through its own descriptor: whatever somebody has put into its
        # place meanwhile, these are the lines that were written.
        if os.fstat(self._file.fileno()).st_size < self._size:
            raise OSError(errno.EIO, "somebody else has cut it off")
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            final.write(lines[: lines.find(b"\n") + 1])
            for entry in range(len(self._outcomes)):
                if entry % 16_384 == 0 and hasattr(mmap, "MADV_DONTNEED"):
                    lines.madvise(mmap.MADV_DONTNEED)  # or all of the file counts as our memory
                code, start = self._end_of(entry)
                if entry in self._owed:
                    final.write(self._owed[entry][1])
                elif code == CODES[Outcome.PLANNED]:
                    sent = self._attempts[entry] if self._attempts else 0
                    final.write(
                        self._row(entry, RowResult(Outcome.NOT_ATTEMPTED, attempts=sent), "")
                    )
                else:
                    final.write(lines[start : lines.find(b"\n", start) + 1])

    def _end_of(self, entry: int) -> tuple[int, int]:
        """The outcome with which a row ends, and where its line is, as far as they are written."""
        stands = self._outcomes[entry], self._offsets[entry]
        return self._before.get(entry, stands) if stands[0] == CODES[Outcome.PLANNED] else stands

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

    def _row(self, entry: int, result: RowResult, finished: str) -> bytes:
        listing = self._listing
        cells = [
            str(listing.rows[entry]),
            *self._named(entry),
            result.outcome,
            BOOLEANS[result.revoked],
            BOOLEANS[_WAS[self._was[entry]]],
            "" if result.http_status is None else str(result.http_status),
            self._outside(result.error_code),
            self._outside(result.error),
            "" if result.attempts == 0 else str(result.attempts),
            "" if result.outcome in _WAITING else finished,
            str(listing.rows[listing.first[entry]]) if listing.repeats(entry) else "",
        ]
        if listing.carried:
            cells.extend(map(self._outside, listing.carried[entry]))
        return line_of(cells)

    def _named(self, entry: int) -> tuple[str, str]:
        """The cells ``license_id`` and ``license_key``; one holds what is neither."""
        listing = self._listing
        if entry in listing.invalid:
            text = self._outside(listing.invalid[entry])
            return ("", text) if listing.keys else (text, "")
        if not listing.keys:
            return listing.license_id(entry), ""
        first = listing.first[entry]  # a license is looked up for the first of its rows
        known = any(listing.ids[ID_BYTES * first : ID_BYTES * (first + 1)])
        return listing.license_id(first) if known else "", self._outside(listing.keys[entry])

    def _outside(self, text: str) -> str:
        """Text from outside as a cell; a cut must not leave half of a secret."""
        return cell(self._redact(text)) if text else ""
