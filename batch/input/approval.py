"""The file of ``--approved``: results of a dry run that came back from whoever knows the customers.

What it still has as ``would_revoke`` is approved, whatever else has become of it: rows taken out or
marked, sorted, columns added, saved by another program. Where it is not certain which license a row
approves, or as what, the file is refused: half an approval is never taken for the whole.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from batch.columns import DETAILS, HEADERS
from batch.errors import Detail, InputError, first_few
from batch.formatting import counted, epoch_seconds, plain, timestamp, uncell
from batch.input.archive import Archive
from batch.input.earlier_results import is_results_header
from batch.input.file import STDIN, ZIP, format_of, open_stored, open_tables
from batch.input.header import find_layout
from batch.input.identifiers import ID, SHEET_ERRORS, simplified
from batch.input.listing import refuse_other_sheets
from batch.input.messages import columns_seen, spelled
from batch.input.table import refuse_hidden
from batch.model import ID_BYTES, NO_ID, Outcome, parse_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batch.input.table import Block, Table
    from batch.model import Action, License, Listing


_PRODUCT, _EXPIRY, _ACTIVATIONS, _USER = "product_id", "expires_at", "activations", "user_email"
_ROW, _FIRST = "row", "duplicate_of"
_NEEDED = ("license_id", "outcome", _ROW, _FIRST, _PRODUCT, _EXPIRY, _ACTIVATIONS, _USER)
_COMPARED = tuple(DETAILS.index(name) for name in (_PRODUCT, _EXPIRY, _USER))

_OUTCOMES = frozenset(map(str, Outcome))
_TRIALS = {Outcome.WOULD_REVOKE, Outcome.WOULD_SUSPEND, Outcome.WOULD_RESTORE}

_STRUCK_THROUGH = re.compile(
    rb"""<(?:\w+:)?strike(?:\s+val=["'](?:1|true)["'])?\s*/>|line-through-style=["'](?!none)"""
)
"""In those parts of a workbook that hold its formats (ECMA-376-1, 18.4.10; OpenDocument 1.3-3,
20.383)."""

_FORMATS = ("xl/styles.xml", "xl/sharedStrings.xml", "content.xml")

_DAY, _MINUTE, _SECOND = 86_400.0, 60.0, 1.0


@dataclass(slots=True, eq=False)
class Approval:
    """Licenses that a file approves, and what they were when the dry run looked at them.

    The lists are parallel: a place in them for each license.

    Attributes:
        path: The file.
        sha256: Hex digest of its bytes.
        rows: Its rows with content below the header.
        places: Place of each license that it approves, by the `ID_BYTES` bytes of its ID.
        numbers: Number of its row in the list that the dry run was about.
        more: All of these numbers, for a license that is approved in several rows.
        products: Product ID, in lower case.
        expires: When it was to expire, in seconds since 1970; infinite for never.
        exactness: Within how many seconds that is told: a spreadsheet may have kept the day alone.
        activations: How many activations it had; None where that is not told.
        users: The user's e-mail address, in lower case; empty for none.
        unchanged: Licenses that were as they were to be already, by the bytes of their IDs.
    """

    path: str
    sha256: str
    rows: int = 0
    places: dict[bytes, int] = field(default_factory=dict)
    numbers: array[int] = field(default_factory=lambda: array("Q"))
    more: dict[bytes, set[int]] = field(default_factory=dict)
    products: list[str] = field(default_factory=list)
    expires: array[float] = field(default_factory=lambda: array("d"))
    exactness: array[float] = field(default_factory=lambda: array("d"))
    activations: list[int | None] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    unchanged: set[bytes] = field(default_factory=set)

    @classmethod
    def read(cls, path: str, action: Action) -> Approval:
        """Read such a file.

        Args:
            path: A file as an input may be.
            action: What it has to approve.

        Raises:
            InputError: It cannot be read in full, is no dry run of this command, lacks what the
                look saw of each license, or does not say for certain what it approves.
        """
        try:
            _refuse_struck_through(path)
            with open_tables(path) as tables:
                chosen = tables.choose(None)
                table = tables.read(chosen)
                places = _places(table, action)
                layout = find_layout(table.title, table.head, ID, None, ())
                found = _Reading(table, action, places).read(path)
                try:
                    refuse_other_sheets(tables, chosen, ID, layout)
                except InputError as refusal:
                    refusal.hint = "put what is approved into one sheet, and delete the others."
                    raise
                return found
        except InputError as refusal:
            refusal.option = "--approved"
            raise

    def unapproved(self, listing: Listing) -> dict[int, tuple[int, ...]]:
        """The entries of a listing that are not approved, each the first one of its license.

        An entry whose ID is not known is none of them. A license that the list repeats is approved
        only if none of its rows was taken out.

        Returns:
            For each of them that no file of ``--exclude`` protects it.
        """
        ids, rows = listing.ids, listing.rows
        repeated = listing.repeated()
        found: dict[int, tuple[int, ...]] = {}
        for entry in listing.distinct():
            id_bytes = bytes(ids[ID_BYTES * entry : ID_BYTES * (entry + 1)])
            if id_bytes not in self.places:
                if id_bytes != NO_ID:
                    found[entry] = ()
            elif entry in repeated:
                listed = {rows[each] for each in (entry, *repeated[entry])}
                if self.numbers_of(id_bytes) < listed:
                    found[entry] = ()
        return found

    def numbers_of(self, id_bytes: bytes) -> set[int]:
        """Numbers of all rows in which a license is approved."""
        return self.more.get(id_bytes) or {self.numbers[self.places[id_bytes]]}

    def activations_of(self, id_bytes: bytes) -> int | None:
        """The activations that a license had; None if that is not told, or it is not approved."""
        place = self.places.get(id_bytes)
        return None if place is None else self.activations[place]

    def changes(self, license_: License) -> str:
        """Say what has become of a license since it was approved; empty if it is as it was.

        Its product, its user and its expiry are compared; an earlier expiry is no change.
        """
        place = self.places.get(parse_id(license_.id) or NO_ID)
        if place is None or not license_.details:
            return ""
        product, expiry, user = (license_.details[each] for each in _COMPARED)
        user = _address(plain(user))
        found = []
        if (then := self.products[place]) != product:
            found.append(f"product {then or 'none'}, now {product or 'none'}")
        if (then := self.users[place]) != user:
            found.append(f"user {then or 'none'}, now {user or 'none'}")
        before, now = self.expires[place], epoch_seconds(expiry) if expiry else inf
        if now is not None and before < inf and now >= before + self.exactness[place]:
            found.append(f"expires {_moment(before)}, now {expiry or 'never'}")
        return "; ".join(found)


class _Reading:
    """The reading of one table.

    Args:
        table: The results.
        action: What they have to approve.
        places: Index of each of the columns `_NEEDED`.
    """

    def __init__(self, table: Table, action: Action, places: Sequence[int]) -> None:
        self._table = table
        self._would = action.in_dry_run
        self._unchanged = action.unchanged
        self._command = action.command
        self._places = places
        self._struck: set[bytes] = set()
        self._firsts: dict[bytes, int] = {}
        self._doubts: list[Detail] = []
        self._texts: dict[str, str] = {}

    def read(self, path: str) -> Approval:
        """Take all rows.

        Raises:
            InputError: What one of them approves is not certain, or none approves anything.
        """
        table = self._table
        refuse_hidden(table, "delete the rows that are not approved, and show the others.")
        found = Approval(path, table.sha256)
        for number, cells in self._rows():
            found.rows += 1
            self._take(found, number, cells)
        if self._doubts:
            raise self._doubtful()
        # Of a license that repeats, the row that came first may have been taken out.
        lost = {each for each, first in self._firsts.items() if first not in found.numbers_of(each)}
        for id_bytes in self._struck | lost:
            found.places.pop(id_bytes, None)
        if not found.places:
            raise InputError(
                f"{table.title} approves nothing: no license in its"
                f" {counted(found.rows, 'row')} is {self._would}",
                hint="name the results of the dry run that somebody went through; a license that"
                f" stands in several rows has to be {self._would} in each of them.",
            )
        return found

    def _rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Number and needed cells of each row with content.

        Raises:
            InputError: A row has more cells than the header: they stand below the wrong names.
        """
        header = self._table.head[0]
        for whole in self._table.blocks:
            block = whole.since(header.number + 1)
            for beyond in block.columns[len(header.cells) :]:
                at = next((at for at, cell in enumerate(beyond) if cell.strip()), None)
                if at is not None:
                    raise InputError(
                        f"{self._table.title}, row {block.row + at}: has more cells than the"
                        " header: they stand below the wrong names",
                        hint="put a cell that holds the delimiter in quotes, or give each column a"
                        " header.",
                    )
            _refuse_covered(self._table, block, self._places)
            needed = [
                block.columns[place] if place < len(block.columns) else [""] * len(block)
                for place in self._places
            ]
            for at, cells in enumerate(zip(*needed, strict=True)):
                if any(cells) or any(column[at].strip() for column in block.columns):
                    yield block.row + at, cells

    def _take(self, found: Approval, number: int, cells: Sequence[str]) -> None:
        """Take a row: what it approves, or which license it strikes out."""
        license_id, outcome, *others = (uncell(cell.strip()) for cell in cells)
        outcome = outcome.lower()
        is_approved = outcome == self._would
        if outcome in _TRIALS and not is_approved:
            raise InputError(
                f"{self._table.title}, row {number}: {outcome} is what another command would do:"
                f" this is bulk-revoke {self._command}",
                hint=f"name a dry run of bulk-revoke {self._command}.",
            )
        id_bytes = parse_id(license_id)
        if id_bytes is None:
            # A dry run has such rows too: a key that was not found, a cell that is no ID.
            if is_approved or outcome not in _OUTCOMES:
                self._doubts.append(_doubt(number, "license_id", license_id))
            return
        if not is_approved:
            self._struck.add(id_bytes)
            if outcome == self._unchanged:
                found.unchanged.add(id_bytes)
            return
        self._approve(found, id_bytes, number, others)

    def _approve(self, found: Approval, id_bytes: bytes, number: int, cells: Sequence[str]) -> None:
        """Take down what was approved of a license; a cell that does not say that is a doubt."""
        row, first, product, expiry, activations, user = cells
        moment, listed, repeats = _parsed(expiry), _whole(row), _whole(first)
        is_read = {
            _ROW: (row, listed is not None),
            _FIRST: (first, repeats is not None or not first),
            _PRODUCT: (product, product not in SHEET_ERRORS),
            _EXPIRY: (expiry, moment is not None),
            _USER: (user, user not in SHEET_ERRORS),
        }
        self._doubts += [
            _doubt(number, name, cell) for name, (cell, so) in is_read.items() if not so
        ]
        if moment is None or listed is None:
            return
        if repeats is not None:
            self._firsts[id_bytes] = repeats
        place = found.places.setdefault(id_bytes, len(found.numbers))
        if place < len(found.numbers):
            found.more.setdefault(id_bytes, {found.numbers[place]}).add(listed)
            return
        found.numbers.append(listed)
        found.products.append(self._once(product.lower()))
        found.expires.append(moment[0])
        found.exactness.append(moment[1])
        found.activations.append(_whole(activations))
        found.users.append(self._once(_address(user)))

    def _once(self, text: str) -> str:
        """The same text for all rows that have it: many licenses are of one product."""
        return self._texts.setdefault(text, text)

    def _doubtful(self) -> InputError:
        return InputError(
            f"{self._table.title}: {counted(len(self._doubts), 'cell')} of it cannot be read, so it"
            " is not certain what is approved:",
            details=first_few(self._doubts, len(self._doubts)),
            hint="put back what the dry run has written there; or take such a row out, so that its"
            " license is not approved.",
        )


def _doubt(number: int, column: str, cell: str) -> Detail:
    return Detail(f"row {number}, {column}: ", spelled(cell) or "(empty)")


def _whole(cell: str) -> int | None:
    """The whole number in a cell; None for anything else."""
    return int(cell) if cell.isascii() and cell.isdecimal() and len(cell) < 16 else None


def _address(text: str) -> str:
    """An e-mail address as addresses are compared."""
    return text.strip().casefold()


def _moment(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def _parsed(cell: str) -> tuple[float, float] | None:
    """When a license expires by its cell, and how exactly that is told; None if it does not say.

    It is what a run has written, or what a spreadsheet has made of it: a date, with a time or not.
    """
    if not cell:
        return inf, _SECOND
    at = epoch_seconds(cell)
    if at is None:
        return None
    colons = cell.partition("+")[0].count(":")
    return at, (_DAY, _MINUTE, _SECOND)[min(colons, 2)]


def _places(table: Table, action: Action) -> list[int]:
    """Index of each of the columns `_NEEDED`.

    Raises:
        InputError: This is no dry run, or not all of it.
    """
    make = f"make it with bulk-revoke {action.command} … --dry-run"
    if not table.head:
        raise InputError(f"{table.title} is empty.", hint="is this the right file?")
    header = table.head[0].cells
    if not is_results_header(header):
        raise InputError(
            f"{table.title}: does not begin with the header of a dry run's results",
            details=[columns_seen(header)],
            hint=f"{make}; its header has to be the first row.",
        )
    names = [uncell(cell.strip()) for cell in header]
    if not any(simplified(name) == simplified(f"was_{action.changes}") for name in names):
        raise InputError(
            f"{table.title}: is about another property of the licenses than {action.changes}",
            details=[columns_seen(header)],
            hint=f"{make}.",
        )
    found = {name: _named(names, name) for name in _NEEDED}
    if lacking := [name for name in _NEEDED if not found[name]]:
        details = " without --no-details" * (not {*lacking}.isdisjoint(DETAILS))
        raise InputError(
            f"{table.title}: lacks {', '.join(lacking)}: without that it is not certain what was"
            " approved",
            details=[columns_seen(header)],
            hint=f"{make}{details}, and leave its columns there.",
        )
    if twice := [name for name in _NEEDED if len(found[name]) > 1]:
        raise InputError(
            f"{table.title}: {len(found[twice[0]])} columns may be the {twice[0]} of these results",
            details=[columns_seen(header)],
            hint="give the one that was added another header.",
        )
    return [found[name][0] for name in _NEEDED]


def _named(names: Sequence[str], name: str) -> list[int]:
    """The columns that may be one of a run's: those of its name, else of nearly its name.

    Where several have it, it is the one among the run's own columns, if those stand side by side.
    """
    exact = [at for at, each in enumerate(names) if each == name]
    found = exact or [at for at, each in enumerate(names) if simplified(each) == simplified(name)]
    for own in (*HEADERS, DETAILS) if len(found) > 1 else ():
        for start in range(len(names) - len(own) + 1):
            if name in own and tuple(names[start : start + len(own)]) == own:
                return [start + own.index(name)]
    return found


def _refuse_struck_through(path: str) -> None:
    """Refuse a workbook in which text is struck through: what was meant to go would be sent."""
    if path == STDIN:  # it is CSV, and can be read but once
        return
    with open_stored(path) as handle:
        if format_of(handle) != ZIP:
            return
        archive = Archive(handle, path)
        parts = [archive.read(name) for name in _FORMATS if name in archive]
    if any(map(_STRUCK_THROUGH.search, parts)):
        raise InputError(
            f"{path}: has a format that strikes text through, and a row that is struck through"
            " still counts",
            hint="delete the rows that are not approved, and save the file as CSV.",
        )


def _refuse_covered(table: Table, block: Block, places: Sequence[int]) -> None:
    """Refuse cells with content that a merge covers, where nobody sees them."""
    for area in table.covered:
        rows = range(max(area.rows.start, block.row), min(area.rows.stop, block.row + len(block)))
        for place in places:
            if place in area.columns and place < len(block.columns):
                cells = block.columns[place]
                if hit := next((row for row in rows if cells[row - block.row].strip()), None):
                    raise InputError(
                        f"{table.title}, row {hit}: a merge covers a cell, where nobody sees it",
                        hint="undo the merge.",
                    )
