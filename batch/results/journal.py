"""The results file: a journal while the run goes on, one line per row in input order at its end.

The last line of a row counts. A line is handed to the operating system before its license is
counted, so killing the process loses nothing; it is forced to the disk once a second. Text from
outside has its line breaks escaped: one line of the file is one line of the table.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from batch.columns import COLUMNS, DETAILS, columns
from batch.errors import StoppedError
from batch.formatting import cell, timestamp, uncell
from batch.host.files import creating, open_to_append, replacing
from batch.model import ID_BYTES, Listing, Outcome, Property, RowResult
from batch.results.csv_file import (
    BOOLEANS,
    CODES,
    OUTCOMES,
    Recorded,
    Tally,
    line_of,
    write_counted,
)
from batch.results.details import NO_DETAILS, recorded_details

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from io import FileIO
    from pathlib import Path

    from batch.host.claim import Claim
    from batch.results.details import Details


_WAS = tuple(BOOLEANS)
_WAITING = frozenset({Outcome.PLANNED, Outcome.NOT_ATTEMPTED})
"""Outcomes of rows that are not settled: they have no ``finished_at``."""

_VALUE = COLUMNS.index(Property.REVOKED)

_REPEATED = COLUMNS.index("duplicate_of")
"""Number of the cells before ``duplicate_of``: rows that repeat a row have the same ones, but for
the row number."""

_SHARED = "somebody else has written into it"

_BLOCK = 1 << 12
"""Bytes of the journal that are read at a time: the next line is often in the same block."""


class Journal:
    """Writes the results file of one run; `create` or `resume` comes first.

    Args:
        path: The results file.
        listing: The input's entries; a license that repeats is settled with its first row.
        was: For each entry the index in (None, True, False) of what it was before.
        changes: The property that the run is about.
        details: What the look saw of each entry, for the columns `DETAILS`; None if there are none.
        redact: Takes secrets out of a text from outside.
        claim: Shows whether the results are still this run's; None in a rehearsal.
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
        changes: Property = Property.REVOKED,
        details: Details | None = None,
        redact: Callable[[str], str] = str,
        claim: Claim | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self._listing = listing
        self._was = was
        self._changes = changes
        self._details = details
        self._redact = redact
        self._claim = claim
        self._now = now
        self._outcomes = bytearray([CODES[Outcome.PLANNED]]) * len(listing)
        self._offsets = array("Q", bytes(8 * len(listing)))
        self._attempts = array("I")
        self._before: dict[int, tuple[int, int]] = {}
        self._owed: dict[int, tuple[int, bytes]] = {}
        self._repeats = listing.repeated()
        self._file: BinaryIO | FileIO = io.BytesIO()
        self._size = 0
        self._is_shared = False
        self._earlier = 0
        self._block, self._block_start = b"", 0
        self._told: tuple[RowResult, int, str] | None = None
        self._cells = b""

    def create(self, row_results: Iterable[RowResult | None]) -> None:
        """Put a file in place that holds what the plan says of every entry, in input order.

        It appears with all of its lines, on the disk, or not at all.

        Raises:
            OSError: There is no file; or there is one already that has not been touched.
        """
        with creating(self.path) as file:
            self._size = file.write(self._header())
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
        self._size = self._earlier = recorded.size
        self._open()
        self._file.truncate(self._size)  # behind it stands half a line
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
        rows = self._listing.rows
        for entry, repeats in self._repeats.items():
            behind = [each for each in repeats if self._outcomes[each] != self._outcomes[entry]]
            if not behind:
                continue
            line = self._line_at(self._offsets[entry])
            _, *cells = self._cells_again(entry, line)[:_REPEATED]
            for each in behind:
                own = [str(rows[each]), *cells, str(rows[entry])]
                own += self._details_again(line) + self._carried(each)
                self._offsets[each] = self._write(line_of(own))
                self._outcomes[each] = self._outcomes[entry]

    def _plan_again(self, entry: int, result: RowResult) -> None:
        """Record that a license is about to be sent: after a kill it is known to be in doubt."""
        if result.error:  # it is in doubt already, and is so still if it is not sent
            self.record((entry, replace(result, outcome=Outcome.UNKNOWN)))
        if OUTCOMES[self._outcomes[entry]] not in _WAITING:
            for each in (entry, *self._repeats.get(entry, ())):
                self._before[each] = self._outcomes[each], self._offsets[each]
        if self._outcomes[entry] != CODES[Outcome.PLANNED]:
            self.record((entry, result))

    def _open(self) -> None:
        self._file = open_to_append(self.path)

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
        try:
            start = self._write(b"".join([line for _, _, line in lines]))
        except OSError:
            for entry, code, line in lines:
                self._owed[entry] = code, line
            raise
        for entry, code, line in lines:
            self._offsets[entry] = start
            self._outcomes[entry] = code
            start += len(line)
            if self._owed:
                self._owed.pop(entry, None)

    def sync(self) -> None:
        """Force what was written to the disk; slow, and safe to call from a thread.

        Raises:
            OSError: It cannot be forced, or the file is gone from its place, or is not this run's
                alone.
        """
        os.fsync(self._file.fileno())
        if not self.is_in_place():
            raise OSError(errno.ENOENT, "the file is gone from its place")
        if self._is_shared:
            raise OSError(errno.EIO, _SHARED)
        self.check()

    def check(self) -> None:
        """Look whether the results are still this run's.

        Raises:
            OSError: They may be another run's by now, and nothing may be written to them any more.
        """
        if self._claim is not None:
            self._claim.check()

    def is_in_place(self) -> bool:
        """Tell whether the file being written still stands at its path, as long as it should be."""
        size = self._size
        try:
            here = self.path.stat()
            return os.path.samestat(here, os.fstat(self._file.fileno())) and here.st_size >= size
        except OSError:
            return False

    def meddled(self) -> StoppedError | None:
        """Say what somebody else has done to the results, if anything; for the end of a run."""
        if not self.is_in_place():
            return StoppedError(
                f"the results are gone from their place: {self.path}",
                hint="put them back there, with their manifest, before you go on.",
            )
        if self._reason():
            return StoppedError(
                f"somebody else has written into the results: {self.path}",
                hint="what this run has settled stands there too, among lines of another program; "
                "keep the file, and read with verify how they stand.",
            )
        try:
            self.check()
        except OSError as cause:
            return StoppedError(f"the results cannot be saved: {cause.strerror}")
        return None

    def tally(self) -> Tally:
        """Count the rows and the licenses as they stand now."""
        found = Counter(self._outcomes)
        repeated = (self._outcomes[each] for more in self._repeats.values() for each in more)
        rows, licenses = (
            {outcome: count[code] for code, outcome in enumerate(OUTCOMES) if count[code]}
            for count in (found, found - Counter(repeated))
        )
        return Tally(rows, licenses)

    def finish(self, done: Collection[Outcome] = (), *, most: int = 0) -> Tally:
        """Replace the journal by one line for each row, in input order; all or nothing.

        Rows that are still planned become ``not_attempted``, or what they were before.

        Args:
            done: As in `write_counted`.
            most: As there.

        Raises:
            OSError: The journal stands as it was.
        """
        if reason := self._reason():
            raise OSError(errno.EIO, reason)
        with replacing(self.path) as final:
            tally = write_counted(self._final_lines(), final, done, most)
        for entry in range(len(self._outcomes)):
            code = self._owed[entry][0] if entry in self._owed else self._end_of(entry)[0]
            is_left = code == CODES[Outcome.PLANNED]
            self._outcomes[entry] = CODES[Outcome.NOT_ATTEMPTED] if is_left else code
        return tally

    def _reason(self) -> str:
        """Why the file is not what was written; empty if it is."""
        size = os.fstat(self._file.fileno()).st_size
        return _SHARED if self._is_shared or size > self._size else ""

    def cut_back(self, size: int) -> None:
        """Cut the file to so many bytes, where that is possible."""
        with suppress(OSError):
            self._file.truncate(min(size, self._file.seek(0, os.SEEK_END)))

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._file.close()

    def _final_lines(self) -> Iterator[bytes]:
        """The lines of the final file."""
        yield self._header()
        for entry in range(len(self._outcomes)):
            code, start = self._end_of(entry)
            if entry in self._owed:
                yield self._owed[entry][1]
            elif code == CODES[Outcome.PLANNED]:
                sent = self._attempts[entry] if self._attempts else 0
                yield self._row(entry, RowResult(Outcome.NOT_ATTEMPTED, attempts=sent), "")
            elif start < self._earlier:
                yield line_of(self._cells_again(entry, self._line_at(start)))
            else:
                yield self._line_at(start)

    def _line_at(self, start: int) -> bytes:
        """Read a line of the journal.

        Through its own descriptor: whatever somebody has put into its place meanwhile, these are
        the lines that were written. And not by mapping it: where a file system cannot read a page,
        that ends the process.

        Raises:
            OSError: It cannot be read, or has no end.
        """
        at = start - self._block_start
        end = self._block.find(b"\n", at) + 1 if 0 <= at < len(self._block) else 0
        if not end:
            at, self._block, self._block_start = 0, b"", start
            self._file.seek(start)
            while not end:
                more = self._file.read(_BLOCK)
                if not more:
                    raise OSError(errno.EIO, "somebody else has cut it off")
                self._block += more
                end = self._block.find(b"\n") + 1
        return self._block[at:end]

    def _cells_again(self, entry: int, line: bytes) -> list[str]:
        """The cells of a line of an earlier session, as this one spells them.

        A program that has saved the file meanwhile spells them in its own way, and without the
        quote that keeps a formula from being run.
        """
        cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
        found = dict.fromkeys(COLUMNS, "") | dict(zip(COLUMNS, cells, strict=False))
        license_id, license_key = self._named(entry)
        value = found[COLUMNS[_VALUE]].lower()
        status, sent = found["http_status"], self._attempts[entry]
        return [
            str(self._listing.rows[entry]),
            license_id,
            license_key,
            OUTCOMES[self._end_of(entry)[0]],
            value if value in BOOLEANS.values() else "",
            BOOLEANS[_WAS[self._was[entry]]],
            status if status.isdecimal() else "",
            *(cell(uncell(found[name])) for name in ("error_code", "error")),
            "" if sent == 0 else str(sent),
            cell(uncell(found["finished_at"])),
            self._duplicate_of(entry),
            *self._details_again(line),
            *self._carried(entry),
        ]

    def _details_again(self, line: bytes) -> list[str]:
        """The details in a line of an earlier session, as this one spells them."""
        if self._details is None:
            return []
        return recorded_details(next(csv.reader([line.decode("utf-8", "replace")]), []))

    def _end_of(self, entry: int) -> tuple[int, int]:
        """The outcome with which a row ends, and where its line is, as far as they are written."""
        stands = self._outcomes[entry], self._offsets[entry]
        return self._before.get(entry, stands) if stands[0] == CODES[Outcome.PLANNED] else stands

    def _write(self, data: bytes) -> int:
        """Append, and return where that begins; a part that a full disk let through is taken back.

        Lines that somebody else has appended in between stay, and do no harm to ours.
        """
        if self._claim is not None:
            self._claim.guard()
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            if written:
                self._file.truncate(self._file.tell() - written)
            raise
        start = self._file.tell() - written
        self._is_shared |= start != self._size
        self._size = start + written
        return start

    def _header(self) -> bytes:
        details = () if self._details is None else DETAILS
        carried = map(self._outside, self._listing.carry)
        return line_of([*columns(self._changes), *details, *carried])

    def _row(self, entry: int, result: RowResult, finished: str) -> bytes:
        told = result, self._was[entry], finished
        if told != self._told:  # most rows of a moment say the same
            self._told, self._cells = told, line_of(self._cells_of(*told))[:-1]
        return b"%b,%b,%b" % (self._head(entry), self._cells, self._tail(entry))

    def _head(self, entry: int) -> bytes:
        """The cells before ``outcome``, as they stand in a line."""
        row = self._listing.rows[entry]
        if self._listing.keys or entry in self._listing.invalid:
            return line_of([str(row), *self._named(entry)])[:-1]
        return f"{row},{self._listing.license_id(entry)},".encode()

    def _tail(self, entry: int) -> bytes:
        """The cells behind ``finished_at``, as they stand in a line, and its end."""
        details = b"" if self._details is None else b",%b" % self._details_of(entry)
        carried = line_of(["", *self._carried(entry)]) if self._listing.carried else b"\n"
        return b"%b%b%b" % (self._duplicate_of(entry).encode(), details, carried)

    def _details_of(self, entry: int) -> bytes:
        """The details of an entry as they stand in a line: what was seen now, or what is recorded.

        They are no reason to lose an outcome: where they cannot be read again they are empty.
        """
        assert self._details is not None
        first = self._listing.first[entry]
        found = self._details.of(first)
        if found or not self._earlier:
            return found or NO_DETAILS
        try:
            return line_of(self._details_again(self._line_at(self._offsets[first])))[:-1]
        except (OSError, csv.Error):
            return NO_DETAILS

    def _cells_of(self, result: RowResult, was: int, finished: str) -> list[str]:
        """The cells from ``outcome`` to ``finished_at``."""
        return [
            result.outcome,
            BOOLEANS[result.value],
            BOOLEANS[_WAS[was]],
            "" if result.http_status is None else str(result.http_status),
            self._outside(result.error_code),
            self._outside(result.error),
            "" if result.attempts == 0 else str(result.attempts),
            "" if result.outcome in _WAITING else finished,
        ]

    def _duplicate_of(self, entry: int) -> str:
        listing = self._listing
        return str(listing.rows[listing.first[entry]]) if listing.repeats(entry) else ""

    def _carried(self, entry: int) -> list[str]:
        carried = self._listing.carried
        return [self._outside(text) for text in carried[entry]] if carried else []

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
